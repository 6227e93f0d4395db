//! A real file, a real watcher, and a pipe to show it in.

use super::*;
use std::fs;
use std::io::Write;
use tempfile::{TempDir, tempdir};
use tulipa::{StreamReader, open_read_pipe, open_write_pipe};

/// Runs `story` while a file in `folder` is followed; it gets what is shown.
fn while_followed<S>(lines: usize, before: &'static str, story: S)
where
    S: AsyncFnOnce(&Path, &mut StreamReader) -> Result<(), Exception> + 'static,
{
    let folder: TempDir = tempdir().unwrap();
    let path = folder.path().join("log");
    fs::write(&path, before).unwrap();
    let event_loop = EventLoop::new().unwrap();
    let told = event_loop.run_coroutine(async move {
        let (reader, writer) = std::io::pipe()?;
        let output = Output::to(open_write_pipe(writer).await?);
        let mut shown = open_read_pipe(reader).await?;
        let mut follower = Follower::open(path.clone(), lines).await?;
        let following = current().create_task(async move {
            follower.catch_up(&output).await?;
            follower.follow(&output).await
        });
        story(&path, &mut shown).await?;
        following.cancel();
        assert!(following.await.unwrap_err().is_cancelled());
        assert_eq!(shown.read_to_end().await?, b"", "something more was shown");
        Ok(())
    });
    told.unwrap();
}

async fn expect(shown: &mut StreamReader, text: &str) -> Result<(), Exception> {
    let data = shown.readexactly(text.len()).await?;
    assert_eq!(String::from_utf8_lossy(&data), text);
    Ok(())
}

fn append(path: &Path, text: &str) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn the_last_lines_are_shown_then_what_is_added() {
    while_followed(2, "one\ntwo\nthree\n", async |path, shown| {
        expect(shown, "two\nthree\n").await?;
        append(path, "four\nfi");
        expect(shown, "four\nfi").await?;
        append(path, "ve\n");
        expect(shown, "ve\n").await
    });
}

#[test]
fn a_file_that_is_renamed_and_replaced_is_followed_by_its_name() {
    while_followed(1, "old\n", async |path, shown| {
        expect(shown, "old\n").await?;
        let aside = path.with_extension("1");
        for round in 0..5 {
            fs::rename(path, &aside).unwrap();
            append(&aside, "last words\n"); // by whoever still has it open
            expect(shown, "last words\n").await?;
            fs::write(path, format!("new {round}\n")).unwrap();
            expect(shown, &format!("new {round}\n")).await?;
        }
        Ok(())
    });
}

#[test]
fn a_file_that_is_cut_is_shown_anew() {
    while_followed(9, "a long line\n", async |path, shown| {
        expect(shown, "a long line\n").await?;
        fs::write(path, "short\n").unwrap();
        expect(shown, "short\n").await?;
        append(path, "more\n");
        expect(shown, "more\n").await
    });
}

#[test]
fn a_file_that_is_replaced_atomically_is_shown_from_its_beginning() {
    while_followed(0, "not shown\n", async |path, shown| {
        current().write_file_atomically(path, "new\n").await?;
        expect(shown, "new\n").await?;
        current().remove_file(path).await?;
        current().write_file(path, "again\n").await?;
        expect(shown, "again\n").await
    });
}

#[test]
fn a_link_is_followed_to_another_file() {
    while_followed(9, "one\n", async |path, shown| {
        expect(shown, "one\n").await?;
        let (other, link) = (path.with_extension("other"), path.with_extension("link"));
        fs::write(&other, "two\n").unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        fs::rename(&link, path).unwrap();
        expect(shown, "two\n").await?;
        append(&other, "three\n");
        expect(shown, "three\n").await
    });
}

#[test]
fn much_is_shown_whole() {
    while_followed(0, "", async |path, shown| {
        let line = "a line of some length, to be shown again and again\n";
        append(path, &line.repeat(20_000));
        expect(shown, &line.repeat(20_000)).await
    });
}

#[test]
fn a_file_that_is_not_there_is_an_error_with_its_name() {
    let event_loop = EventLoop::new().unwrap();
    let opening = Follower::open("/nowhere/log".into(), 1);
    let error = event_loop.run_coroutine(async { opening.await.map(drop) }).unwrap_err();
    assert_eq!(error.to_string(), "cannot find /nowhere/log");
}
