//! Sends back what it receives, over TLS, with a certificate that it makes for itself. Run it, then:
//! openssl s_client -quiet -connect 127.0.0.1:8443

use clap::Parser;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::streams::open_connection;
use tulipa::tls::{ReloadableCertificate, Roots, TlsClientConfig, TlsServerConfig};
use tulipa::{ConnectOptions, Protocol, ServerOptions, Transport, current, signal};
use tulipa_examples::program::run_program;
use tulipa_examples::self_made::given_or_self_made;
use tulipa_examples::serving::{serve_until_signal, start_logging};

/// Sends back what it receives, encrypted. SIGHUP reads the certificate's files again.
#[derive(Parser)]
struct Arguments {
    /// Where to listen, or with --client to connect to: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// The server's name, which its certificate has.
    #[arg(long, default_value = "localhost")]
    name: String,
    /// The certificate and its chain, in PEM. Without it, one is made that nobody vouches for.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Where to leave the certificate that was made, for clients that are to trust it.
    #[arg(long, value_name = "FILE", conflicts_with = "certificate")]
    leave_certificate: Option<PathBuf>,
    /// Asks clients for certificates that these authorities vouch for, in PEM, and refuses all others;
    /// with --client, whom to trust in place of the system's authorities.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// An application protocol to agree on (ALPN); may be given several times.
    #[arg(long, value_name = "PROTOCOL")]
    alpn: Vec<String>,
    /// How many seconds a handshake may take.
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS")]
    handshake_timeout: f64,
    /// Is the other end: sends standard input, and prints what comes back.
    #[arg(long)]
    client: bool,
}

struct Echo;

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &dyn Transport) {
        if let Some(tls) = transport.extra_info().tls {
            log::info!("{} with {}", tls.version, tls.cipher.name);
        }
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        transport.write(data);
    }

    // A peer that does not read what comes back is not read from either.
    fn pause_writing(&mut self, transport: &dyn Transport) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        transport.resume_reading();
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        if let Some(reason) = reason {
            log::info!("a connection broke: {reason:?}");
        }
    }
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    if arguments.client {
        return run_program(talk(arguments));
    }
    match serve(&arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:?}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> Result<(), Exception> {
    let event_loop = EventLoop::new()?;
    let files = arguments.certificate.as_deref().zip(arguments.key.as_deref());
    let certificate =
        given_or_self_made(files, &arguments.name, arguments.leave_certificate.as_deref())?;
    if files.is_some() {
        reload_on_sighup(&event_loop, certificate.clone())?;
    }
    let mut config = TlsServerConfig::builder()
        .certificate(certificate)
        .alpn(arguments.alpn.iter().map(String::as_str))
        .handshake_timeout(Duration::try_from_secs_f64(arguments.handshake_timeout)?);
    if let Some(authorities) = &arguments.trust {
        config = config.require_client_certificates(Roots::none().pem_file(authorities)?);
    }
    let options =
        ServerOptions::from((arguments.host.as_str(), arguments.port)).tls(config.build()?);
    let serving = event_loop.create_server(|| Echo, options);
    let server = event_loop.run_until_complete(&serving)?;
    serve_until_signal(&event_loop, &[("", server)])
}

/// A worker reads the files, so that nobody has to wait.
fn reload_on_sighup(
    event_loop: &EventLoop,
    certificate: ReloadableCertificate,
) -> Result<(), Exception> {
    let handle = event_loop.handle();
    event_loop.add_signal_handler(signal::SIGHUP, move || {
        let certificate = certificate.clone();
        let reloading = handle.run_in_executor(None, move || certificate.reload());
        reloading.add_done_callback(|reloaded| match reloaded.take() {
            Ok(Ok(())) => log::warn!("the certificate was read again"),
            Ok(Err(error)) => {
                log::error!("the old certificate stays: {:?}", Exception::from(error));
            }
            Err(exception) => log::error!("the old certificate stays: {exception:?}"),
        });
    })?;
    Ok(())
}

/// Sends standard input, and prints what comes back until all of it has.
async fn talk(arguments: Arguments) -> Result<std::process::ExitCode, Exception> {
    let roots = match &arguments.trust {
        Some(authorities) => Roots::none().pem_file(authorities)?,
        None => Roots::platform(),
    };
    let mut config = TlsClientConfig::builder()
        .roots(roots)
        .alpn(arguments.alpn.iter().map(String::as_str))
        .handshake_timeout(Duration::try_from_secs_f64(arguments.handshake_timeout)?);
    if let Some((chain, key)) = arguments.certificate.as_ref().zip(arguments.key.as_ref()) {
        config = config.certificate(ReloadableCertificate::from_pem_files(chain, key)?);
    }
    let options = ConnectOptions::from((arguments.host, arguments.port))
        .tls(config.build()?)
        .server_name(arguments.name);
    // Reading all input may block: that is what the executor is for.
    let input = current().run_in_executor(None, || {
        let mut message = Vec::new();
        io::stdin().read_to_end(&mut message).map(|_| message).map_err(Exception::from)
    });
    let message = input.await??;
    let (mut reader, writer) = open_connection(options).await?;
    let mut missing = message.len();
    writer.write_vec(message);
    while missing > 0 {
        let data = reader.read(65_536).await?;
        if data.is_empty() {
            return Err(Exception::msg(format!("the server kept the last {missing} bytes")));
        }
        missing = missing.saturating_sub(data.len());
        io::stdout().write_all(&data)?;
    }
    io::stdout().flush()?;
    writer.close();
    writer.wait_closed().await?;
    Ok(std::process::ExitCode::SUCCESS)
}
