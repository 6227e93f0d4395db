//! Catches all mail that is sent to it, and shows it on a web page: an SMTP server and an HTTP server
//! in one program, on one thread and one loop.
//!
//! Run it, point a program's mail settings to 127.0.0.1 port 1025, and open http://127.0.0.1:8025/.

use clap::Parser;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::protocols::LineReceiver;
use tulipa::wrappers::ConnectionLimits;
use tulipa::{Protocol, ServerOptions, Transport, current};
use tulipa_examples::http::{Limits, Reply, Request};
use tulipa_examples::http_protocol::HttpProtocol;
use tulipa_examples::mail::{Directory, Settings, Site, Smtp, Store, StoreLimits};
use tulipa_examples::serving::{serve_until_signal, start_logging};

/// Catches all mail that is sent to it, and shows it on a web page.
#[derive(Parser)]
struct Arguments {
    /// Where to listen: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port for mail; 0 picks a free one.
    #[arg(long, default_value_t = 1025)]
    smtp_port: u16,
    /// The port for the web page; 0 picks a free one.
    #[arg(long, default_value_t = 8025)]
    http_port: u16,
    /// How many mails to keep; the oldest are dropped.
    #[arg(long, default_value_t = 1000)]
    keep: usize,
    /// How many MiB of mail to keep.
    #[arg(long, default_value_t = 256, value_name = "MIB")]
    keep_size: usize,
    /// Keeps each mail in a file of this directory, too: it is on the disk before the client is told that
    /// it was taken, and shown again after a restart.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The largest mail to accept, in MiB.
    #[arg(long, default_value_t = 25, value_name = "MIB")]
    largest: usize,
    /// After how many seconds without a command a mail client is sent away.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    idle_timeout: u64,
    /// How many mail clients there may be at a time; those that are too many are told so.
    #[arg(long, default_value_t = 1000, value_name = "NUMBER")]
    most_clients: usize,
    /// A name that the page may be asked for by, beside localhost and addresses; may be repeated.
    #[arg(long, value_name = "NAME")]
    host_name: Vec<String>,
}

const MIB: usize = 1024 * 1024;
/// How many clients are told at a time that there are too many; others are just cut off.
const OVERFLOW: usize = 50;

fn main() -> Result<(), Exception> {
    let arguments = Arguments::parse();
    start_logging();
    let event_loop = EventLoop::new()?;
    let mut store = Store::new(StoreLimits {
        mails: arguments.keep,
        bytes: arguments.keep_size.saturating_mul(MIB),
    });
    let directory = arguments.store.map(Directory::open).transpose()?.map(Arc::new);
    if let Some(directory) = &directory {
        let loaded = directory.load(&mut store)?;
        log::info!("{loaded} mails were there before");
    }
    let store = Rc::new(RefCell::new(store));

    let settings =
        Rc::new(Settings { message: arguments.largest.saturating_mul(MIB), ..Settings::default() });
    let idle_limit = Duration::from_secs(arguments.idle_timeout);
    let (caught, files) = (store.clone(), directory.clone());
    let limits = ConnectionLimits::new().total(arguments.most_clients).overflow(OVERFLOW, || Busy);
    let smtp = event_loop.create_server(
        limits.wrap(move || {
            let smtp = Smtp::new(settings.clone(), caught.clone(), idle_limit);
            LineReceiver::new(smtp.keeping_files(files.clone()))
        }),
        ServerOptions::from((arguments.host.clone(), arguments.smtp_port)),
    );

    let limits = Rc::new(Limits::default());
    let site = Rc::new(Site { host_names: arguments.host_name });
    let http = event_loop.create_server(
        move || {
            let (site, store, directory) = (site.clone(), store.clone(), directory.clone());
            HttpProtocol::new(limits.clone(), move |request: &Request<'_>, reply: Reply<'_>| {
                site.respond(&mut store.borrow_mut(), request).send(reply);
                remove_files(store.borrow_mut().take_unwanted(), directory.as_ref());
            })
        },
        ServerOptions::from((arguments.host, arguments.http_port)),
    );

    let smtp = event_loop.run_until_complete(&smtp)?;
    let http = event_loop.run_until_complete(&http)?;
    serve_until_signal(&event_loop, &[("smtp: ", smtp), ("http: ", http)])
}

/// Tells a client for whom there is no place to come again.
struct Busy;

impl Protocol for Busy {
    fn connection_made(&mut self, transport: &dyn Transport) {
        transport.send_line(b"421 4.3.2 too many clients, try again later");
        transport.close();
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}

/// The files of mails that were removed on the page go too.
fn remove_files(unwanted: Vec<PathBuf>, directory: Option<&Arc<Directory>>) {
    if let Some(directory) = directory.filter(|_| !unwanted.is_empty()).cloned() {
        let removing = current().run_in_executor(None, move || directory.remove(&unwanted));
        removing.add_done_callback(|removing| {
            if let Ok(Some(error)) = removing.exception() {
                log::error!("files of removed mails are left: {error}");
            }
        });
    }
}
