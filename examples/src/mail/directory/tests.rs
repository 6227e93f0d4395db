//! Mails in files: whole or not at all, and found again.

use super::*;
use crate::mail::StoreLimits;

fn mail(subject: &str) -> Mail {
    let address = |text: &[u8]| Address::parse_path(text).unwrap().0;
    Mail {
        client: "client.example.org".into(),
        sender: address(b"<ann@example.org>"),
        recipients: vec![address(b"<bob@example.org>").unwrap(), address(b"<eve@b.org>").unwrap()],
        content: format!("X-RcptTo: <not@envelope>\r\nSubject: {subject}\r\n\r\nhello\r\n").into(),
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::new(seconds, 5)
}

fn catch(directory: &Directory, store: &mut Store, mail: Mail, seconds: u64) -> u64 {
    let path = directory.new_path(at(seconds));
    let mail = store.admit(mail, at(seconds), Some(path)).unwrap();
    directory.keep(&mail).unwrap();
    store.keep(mail).unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn mails_are_found_again_as_they_were() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("mails");
    let mut before = Store::default();
    let directory = Directory::open(&path).unwrap();
    let bounce = Mail { sender: None, content: vec![b'\xff', b'\r', b'\n'], ..mail("") };
    for (number, mail) in [mail("one"), bounce, mail("three")].into_iter().enumerate() {
        catch(&directory, &mut before, mail, 10 - number as u64);
    }
    assert_eq!(names(&path).len(), 3);
    drop(directory);
    let mut after = Store::default();
    assert_eq!(Directory::open(&path).unwrap().load(&mut after).unwrap(), 3);
    let seen = |store: &Store| -> Vec<(SystemTime, Mail)> {
        let mut all: Vec<_> =
            store.newest_first().map(|it| (it.received, it.mail.clone())).collect();
        all.sort_by_key(|(received, _)| *received);
        all
    };
    assert_eq!(seen(&after), seen(&before));
    // By time, whatever the order in which they were kept.
    assert_eq!(after.newest_first().next().unwrap().subject, "one");
}

#[test]
fn the_newest_are_loaded_as_far_as_there_is_room() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    let mut store = Store::default();
    for number in 0..5 {
        catch(&directory, &mut store, mail(&number.to_string()), number);
    }
    let mut few = Store::new(StoreLimits { mails: 2, ..StoreLimits::default() });
    assert_eq!(directory.load(&mut few).unwrap(), 2);
    let subjects: Vec<_> = few.newest_first().map(|caught| caught.subject.clone()).collect();
    assert_eq!(subjects, ["4", "3"]);
    let mut small = Store::new(StoreLimits { bytes: 10, ..StoreLimits::default() });
    assert_eq!(directory.load(&mut small).unwrap(), 0);
}

#[test]
fn one_process_at_a_time_and_leftovers_go() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    let error = Directory::open(place.path()).unwrap_err();
    assert!(error.to_string().contains(&place.path().display().to_string()));
    assert!(error.source().unwrap().to_string().contains("another process"));
    drop(directory);
    fs::write(place.path().join("0000000001.000000000-1-0.part"), "half a ma").unwrap();
    fs::write(place.path().join("notes.txt"), "somebody else's").unwrap();
    fs::write(place.path().join("foreign.eml"), "Subject: foreign\r\n\r\n").unwrap();
    fs::create_dir(place.path().join("directory.eml")).unwrap();
    let directory = Directory::open(place.path()).unwrap();
    assert_eq!(names(place.path()), ["directory.eml", "foreign.eml", "notes.txt"]);
    let mut store = Store::default();
    assert_eq!(directory.load(&mut store).unwrap(), 1);
    let foreign = store.newest_first().next().unwrap();
    assert_eq!((&foreign.subject[..], foreign.mail.recipients.len()), ("foreign", 0));
    assert!(Directory::open(place.path().join("no/such/place")).is_err());
}

#[test]
fn what_is_removed_from_the_store_is_removed_from_the_disk_and_what_is_dropped_is_not() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    let mut store = Store::new(StoreLimits { mails: 2, ..StoreLimits::default() });
    let ids: Vec<u64> =
        (0..3).map(|number| catch(&directory, &mut store, mail("x"), number)).collect();
    assert_eq!((store.dropped(), names(place.path()).len()), (1, 3));
    assert!(store.remove(ids[1]));
    directory.remove(&store.take_unwanted());
    assert_eq!(names(place.path()).len(), 2);
    store.clear();
    directory.remove(&store.take_unwanted());
    assert_eq!(names(place.path()).len(), 1);
    assert!(store.take_unwanted().is_empty());
}

#[test]
fn no_name_is_used_twice_and_nothing_is_written_over() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    let paths: std::collections::HashSet<PathBuf> =
        (0..1000).map(|_| directory.new_path(at(1))).collect();
    assert_eq!(paths.len(), 1000);
    let store = Store::default();
    let path = directory.new_path(at(1));
    for taken in [path.clone(), path.with_extension(IN_WORK)] {
        fs::write(&taken, "older").unwrap();
        let caught = store.admit(mail("x"), at(1), Some(path.clone())).unwrap();
        assert_eq!(directory.keep(&caught), Err(NotKept::Failed));
        assert_eq!(fs::read_to_string(&taken).unwrap(), "older");
        fs::remove_file(&taken).unwrap();
        assert!(names(place.path()).is_empty());
    }
}

#[test]
fn a_directory_that_is_gone_keeps_nothing() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("mails");
    let directory = Directory::open(&path).unwrap();
    fs::remove_dir(&path).unwrap();
    let caught = Store::default().admit(mail("x"), at(1), Some(directory.new_path(at(1)))).unwrap();
    assert_eq!(directory.keep(&caught), Err(NotKept::Failed));
}

#[test]
fn heads_that_are_cut_or_wrong_are_no_heads() {
    let whole =
        b"X-Caught: 1.000000002 1\r\nX-Helo: me\r\nReturn-Path: <>\r\nX-RcptTo: <a@b>\r\nx\r\n";
    assert_eq!(parse_head(whole).unwrap().1.content, b"x\r\n");
    for end in 0..whole.len() - 3 {
        assert!(parse_head(&whole[..end]).is_none(), "{end}");
    }
    for wrong in [
        &b"X-Caught: 1 1\r\nX-Helo: me\r\nReturn-Path: <>\r\nX-RcptTo: <a@b>\r\n"[..],
        b"X-Caught: 1.9999999999 0\r\nX-Helo: me\r\nReturn-Path: <>\r\n",
        b"X-Caught: 18446744073709551615.0 0\r\nX-Helo: me\r\nReturn-Path: <>\r\n",
        b"X-Caught: 18446744073709551615.1000000000 0\r\nX-Helo: me\r\nReturn-Path: <>\r\n",
        b"X-Caught: 1.0 1\r\nX-Helo: me\r\nReturn-Path: <>\r\nX-RcptTo: <>\r\n",
        b"X-Caught: 1.0 99999999999999999999\r\nX-Helo: me\r\nReturn-Path: <>\r\n",
    ] {
        assert!(parse_head(wrong).is_none());
    }
}

#[test]
fn only_leftovers_of_its_own_are_removed() {
    let place = tempfile::tempdir().unwrap();
    let foreign =
        ["film.mkv.part", "1.part", ".part", "0000000001.000000000-1-0.x.part", "a.b-c-d.part"];
    for name in foreign.into_iter().chain(["0000000001.000000000-1-0.part"]) {
        fs::write(place.path().join(name), "half").unwrap();
    }
    Directory::open(place.path()).unwrap();
    let mut left = foreign.map(str::to_owned);
    left.sort();
    assert_eq!(names(place.path()), left);
}

#[test]
fn a_file_that_is_too_large_for_the_store_does_not_hide_the_others() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    catch(&directory, &mut Store::default(), mail("x"), 1);
    File::create(place.path().join("zzz.eml")).unwrap().set_len(1 << 40).unwrap();
    let mut store = Store::new(StoreLimits { mails: 1, bytes: 100_000 });
    assert_eq!(directory.load(&mut store).unwrap(), 1);
}

#[test]
fn a_directory_that_was_replaced_is_not_the_one_that_is_locked() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("mails");
    let directory = Directory::open(&path).unwrap();
    fs::rename(&path, place.path().join("older")).unwrap();
    let other = Directory::open(&path).unwrap();
    let caught = Store::default().admit(mail("x"), at(1), Some(directory.new_path(at(1)))).unwrap();
    assert_eq!(directory.keep(&caught), Err(NotKept::Failed));
    assert!(names(&path).is_empty());
    assert_eq!(other.keep(&caught), Ok(()));
}
