//! TLS: connections that stay, one message each under way, echoed by the server and compared.

use super::poll::Poll;
use super::{Meter, Window, connect};
use crate::record::Metrics;
use crate::server::Server;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tulipa::Exception;

/// What a server says it is, as files, and what its clients believe.
pub struct Identity {
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    config: Arc<ClientConfig>,
}

impl Identity {
    /// Makes one, and leaves its files in `folder`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn make(folder: &Path) -> Result<Self, Exception> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&certificate)?)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { certificate, key, config: Arc::new(config) })
    }
}

/// What the clients do.
#[derive(Clone, Debug)]
pub struct Tls {
    /// How many connections there are.
    pub connections: usize,
    /// How long each message is.
    pub size: usize,
    /// When it is measured.
    pub window: Window,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Clients that believe in `identity`.
    pub fn new(identity: &Identity, connections: usize, size: usize, window: Window) -> Self {
        Self { connections, size, window, config: identity.config.clone() }
    }

    /// Measures the server.
    ///
    /// # Errors
    /// If an answer is not what was to come, or there is none for too long, or the system says no.
    pub fn measure(&self, server: &Server) -> Result<Metrics, Exception> {
        super::generate(|| run(self, server.address(), server.pid()))
    }
}

struct Client {
    stream: TcpStream,
    session: ClientConnection,
    message: Vec<u8>,
    received: usize,
    sent: Instant,
}

fn run(plan: &Tls, address: SocketAddr, server: u32) -> Result<Metrics, Exception> {
    let mut poll = Poll::new()?;
    let mut clients = Vec::new();
    for key in 0..plan.connections {
        let stream = connect(address)?;
        poll.add(&stream, key)?;
        let name = ServerName::try_from("localhost")?;
        let mut session = ClientConnection::new(plan.config.clone(), name)?;
        session.set_buffer_limit(None);
        let message = (0..plan.size).map(|at| (at * 7 + at / 256 + key * 13) as u8).collect();
        let mut client = Client { stream, session, message, received: 0, sent: Instant::now() };
        client.send()?;
        clients.push(client);
    }
    let window = Window { warm_up_answers: clients.len() as u64, ..plan.window };
    let mut meter = Meter::new(server, window, Instant::now());
    let mut buffer = vec![0; 64 * 1024];
    loop {
        for key in poll.ready()? {
            let client = &mut clients[key];
            if client.is_answered(&mut buffer)? {
                meter.answered(client.sent, Instant::now());
                client.send()?;
            }
            client.flush()?;
        }
        if let Some(metrics) = meter.poll(Instant::now())? {
            return Ok(metrics);
        }
    }
}

impl Client {
    fn send(&mut self) -> Result<(), Exception> {
        self.received = 0;
        self.sent = Instant::now();
        self.session.writer().write_all(&self.message)?;
        self.flush()
    }

    /// Hands over what the session has, as far as there is room.
    fn flush(&mut self) -> Result<(), Exception> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn is_answered(&mut self, buffer: &mut [u8]) -> Result<bool, Exception> {
        loop {
            match self.session.read_tls(&mut self.stream) {
                Ok(0) => return Err(Exception::msg("the server closed a connection")),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            let mut available = self.session.process_new_packets()?.plaintext_bytes_to_read();
            while available > 0 {
                let count = self.session.reader().read(buffer)?;
                available -= count;
                let expected = self.message.get(self.received..self.received + count);
                if expected != Some(&buffer[..count]) {
                    return Err(Exception::msg("what came back is not what was sent"));
                }
                self.received += count;
            }
            if self.received == self.message.len() {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use std::net::TcpListener;
    use std::time::Duration;

    /// Runs against a server that spoils one byte after so many.
    fn against(spoil_after: usize) -> Result<Metrics, Exception> {
        let folder = std::env::temp_dir().join(format!("tls-{}-{spoil_after}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let identity = Identity::make(&folder).unwrap();
        let chain = vec![CertificateDer::from_pem_file(&identity.certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let session = ServerConnection::new(config).unwrap();
            let mut stream = StreamOwned::new(session, listener.accept().unwrap().0);
            let mut before = 0;
            let mut buffer = [0; 5000];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                if (before..before + count).contains(&spoil_after) {
                    buffer[spoil_after - before] ^= 1;
                }
                before += count;
                if stream.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
        });
        let length = Duration::from_millis(5);
        let warm_up = Duration::ZERO;
        let window = Window { warm_up, warm_up_answers: 2, length, ..Window::short() };
        let plan = Tls::new(&identity, 1, 100_000, window);
        let result = run(&plan, address, std::process::id());
        server.join().unwrap();
        result
    }

    #[test]
    fn messages_that_come_back_are_counted() {
        against(usize::MAX).unwrap();
    }

    #[test]
    fn one_wrong_bit_is_noticed() {
        assert!(against(12_345).is_err());
    }
}
