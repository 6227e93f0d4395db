//! Catches all mail that is sent to it, and shows it on a web page: an SMTP server and an HTTP server
//! in one program, on one thread and one loop.
//!
//! Run it, point a program's mail settings to 127.0.0.1 port 1025, and open http://127.0.0.1:8025/. With
//! --tls, mail may be sent encrypted (STARTTLS), and the page is at https://127.0.0.1:8025/.

use clap::Parser;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::protocols::LineReceiver;
use tulipa::tls::{TlsServerConfig, Truncation};
use tulipa::wrappers::ConnectionLimits;
use tulipa::{Protocol, ServerOptions, Transport, current};
use tulipa_examples::http::{Limits, Reply, Request};
use tulipa_examples::http_protocol::HttpProtocol;
use tulipa_examples::mail::{Directory, Encryption, Settings, Site, Smtp, Store, StoreLimits};
use tulipa_examples::self_made::given_or_self_made;
use tulipa_examples::serving::{reload_on_sighup, serve_until_signal, start_logging};

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
    /// Lets mail clients encrypt (STARTTLS), and serves the page encrypted (HTTPS).
    #[arg(long)]
    tls: bool,
    /// Takes no mail that is not encrypted.
    #[arg(long, requires = "tls")]
    require_tls: bool,
    /// A port for mail that is encrypted from the beginning (SMTPS); 0 picks a free one.
    #[arg(long, value_name = "PORT", requires = "tls")]
    smtps_port: Option<u16>,
    /// The certificate and its chain, in PEM; SIGHUP reads it again. Without it, one is made that nobody
    /// vouches for.
    #[arg(long, value_name = "FILE", requires_all = ["key", "tls"])]
    certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Where to leave the certificate that was made, for clients that are to trust it.
    #[arg(long, value_name = "FILE", requires = "tls", conflicts_with = "certificate")]
    leave_certificate: Option<PathBuf>,
    /// How many seconds a TLS handshake may take.
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS", requires = "tls")]
    handshake_timeout: f64,
}

const MIB: usize = 1024 * 1024;
/// How many clients are told at a time that there are too many; others are just cut off.
const OVERFLOW: usize = 50;

fn main() -> Result<(), Exception> {
    let arguments = Arguments::parse();
    start_logging();
    let event_loop = EventLoop::new()?;
    let tls = arguments.tls.then(|| Tls::new(&arguments, &event_loop)).transpose()?;
    let mut store = Store::new(StoreLimits {
        mails: arguments.keep,
        bytes: arguments.keep_size.saturating_mul(MIB),
    });
    let directory = arguments.store.clone().map(Directory::open).transpose()?.map(Arc::new);
    if let Some(directory) = &directory {
        let loaded = directory.load(&mut store)?;
        log::info!("{loaded} mails were there before");
    }
    let store = Rc::new(RefCell::new(store));

    let settings = Rc::new(Settings {
        message: arguments.largest.saturating_mul(MIB),
        encryption: match (arguments.tls, arguments.require_tls) {
            (false, _) => Encryption::None,
            (true, false) => Encryption::Offered,
            (true, true) => Encryption::Required,
        },
        ..Settings::default()
    });
    let idle_limit = Duration::from_secs(arguments.idle_timeout);
    let (caught, files) = (store.clone(), directory.clone());
    let upgrade = tls.as_ref().map(|tls| tls.mail.clone());
    let sessions = move || {
        let smtp = Smtp::new(settings.clone(), caught.clone(), idle_limit);
        LineReceiver::new(smtp.keeping_files(files.clone()).encrypting(upgrade.clone()))
    };
    let limits = ConnectionLimits::new().total(arguments.most_clients).overflow(OVERFLOW, || Busy);
    let at = |port| ServerOptions::from((arguments.host.clone(), port));
    let smtp = event_loop.create_server(limits.wrap(sessions.clone()), at(arguments.smtp_port));
    let smtps = arguments.smtps_port.zip(tls.as_ref()).map(|(port, tls)| {
        event_loop.create_server(limits.wrap(sessions), at(port).tls(tls.mail.clone()))
    });

    let limits = Rc::new(Limits::default());
    let site = Rc::new(Site { host_names: arguments.host_name.clone() });
    let options = match &tls {
        None => at(arguments.http_port),
        Some(tls) => at(arguments.http_port).tls(tls.web.clone()),
    };
    let http = event_loop.create_server(
        move || {
            let (site, store, directory) = (site.clone(), store.clone(), directory.clone());
            HttpProtocol::new(limits.clone(), move |request: &Request<'_>, reply: Reply<'_>| {
                site.respond(&mut store.borrow_mut(), request).send(reply);
                remove_files(store.borrow_mut().take_unwanted(), directory.as_ref());
            })
        },
        options,
    );

    let web = if tls.is_some() { "https: " } else { "http: " };
    let mut servers = vec![
        ("smtp: ", event_loop.run_until_complete(&smtp)?),
        (web, event_loop.run_until_complete(&http)?),
    ];
    if let Some(smtps) = smtps {
        servers.push(("smtps: ", event_loop.run_until_complete(&smtps)?));
    }
    serve_until_signal(&event_loop, &servers)
}

/// How connections are encrypted: with one certificate, for mail and for the page.
struct Tls {
    mail: TlsServerConfig,
    web: TlsServerConfig,
}

impl Tls {
    fn new(arguments: &Arguments, event_loop: &EventLoop) -> Result<Self, Exception> {
        let files = arguments.certificate.as_deref().zip(arguments.key.as_deref());
        let left_in = arguments.leave_certificate.as_deref();
        let certificate = given_or_self_made(files, &arguments.host_name, left_in)?;
        if files.is_some() {
            reload_on_sighup(event_loop, certificate.clone())?;
        }
        let limit = Duration::try_from_secs_f64(arguments.handshake_timeout)?;
        let config =
            || TlsServerConfig::builder().certificate(certificate.clone()).handshake_timeout(limit);
        Ok(Self {
            mail: config().build()?,
            // A request knows its length, and many browsers leave without a goodbye.
            web: config().alpn(["http/1.1"]).truncation(Truncation::IsEnd).build()?,
        })
    }
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
