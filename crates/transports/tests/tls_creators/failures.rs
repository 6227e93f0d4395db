//! Handshakes that fail: the creator is told, the protocol is not, and nothing is left.

use crate::support::*;
use eventloop::TestLoop;
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::time::Duration;
use tulipa_transports::tls::rustls::{AlertDescription, CertificateError, Error};
use tulipa_transports::tls::{Roots, TlsClientConfig, TlsServerConfig};
use tulipa_transports::{ConnectOptions, NetworkLoop, ServerStats};

#[test]
fn x44_a_server_that_is_not_to_be_believed_is_an_error_of_the_creator() {
    let event_loop = TestLoop::new();
    let authority = Authority::new("root");
    let names = ["127.0.0.1"];
    let bad = [
        authority.expired(&names),
        authority.early(&names),
        authority.good(&["example.org"]),
        Authority::new("stranger").good(&names),
        authority.for_client("127.0.0.1"),
        authority.huge(&names, 200_000),
    ];
    for made in bad {
        let config = TlsServerConfig::new(made.certified_key()).unwrap();
        let (server, logs) = serve(&event_loop, &config, Hooks::new);
        let options = ConnectOptions::from(address(&server)).tls(authority.client());
        let error = refusal(&event_loop, options);
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidData), "{error:?}");
        let error = tls_error(&error);
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        run_until(&event_loop, || server.stats().handshakes_failed == 1);
        assert!(logs.get().is_empty(), "the server made no protocol");
        run_until(&event_loop, || event_loop.open_connections() == 0);
        end(&event_loop, &server, &logs);
    }
}

#[test]
fn x44_the_cause_of_a_refusal_is_told() {
    let event_loop = TestLoop::new();
    let (_, config) = configs();
    let (server, logs) = serve(&event_loop, &config, Hooks::new);
    let stranger = Authority::new("stranger").client();
    let error = refusal(&event_loop, ConnectOptions::from(address(&server)).tls(stranger));
    let error = tls_error(&error);
    assert!(error.is_certificate_error());
    assert_eq!(
        error.as_rustls(),
        Some(&Error::InvalidCertificate(CertificateError::UnknownIssuer))
    );
    end(&event_loop, &server, &logs);
}

#[test]
fn x54_application_protocols_that_do_not_match_fail_at_both_ends() {
    let event_loop = TestLoop::new();
    let authority = Authority::new("root");
    let certificate = authority.good(&["127.0.0.1"]).certified_key();
    let speaking = |protocols: &[&str]| {
        let builder = TlsServerConfig::builder().certificate(certificate.clone());
        builder.alpn(protocols.iter().copied()).build().unwrap()
    };
    let offering = |required: bool| {
        let builder = TlsClientConfig::builder().roots(authority.roots()).alpn(["smtp"]);
        builder.alpn_required(required).build().unwrap()
    };
    let (server, logs) = serve(&event_loop, &speaking(&["imap"]), Hooks::new);
    let error = refusal(&event_loop, ConnectOptions::from(address(&server)).tls(offering(true)));
    assert_eq!(
        tls_error(&error).as_rustls(),
        Some(&Error::AlertReceived(AlertDescription::NoApplicationProtocol))
    );
    run_until(&event_loop, || server.stats().handshakes_failed == 1);
    assert!(logs.get().is_empty());
    end(&event_loop, &server, &logs);

    // A server that has never heard of it: to be told is better than to guess.
    let (server, logs) = serve(&event_loop, &speaking(&[]), Hooks::new);
    let error = refusal(&event_loop, ConnectOptions::from(address(&server)).tls(offering(true)));
    assert!(error.to_string().contains("no application protocol"), "{error}");
    let (transport, _) = connect(&event_loop, &server, &offering(false), Hooks::new());
    assert_eq!(transport.extra_info().tls.unwrap().alpn, None);
    transport.abort();
    let of_library = TlsClientConfig::from_rustls(offering(false).as_rustls().clone());
    let strict = ConnectOptions::from(address(&server)).tls(of_library.clone());
    let error = refusal(&event_loop, strict);
    assert!(error.to_string().contains("no application protocol"), "{error}");
    let lenient = of_library.alpn_required(false);
    connect(&event_loop, &server, &lenient, Hooks::new()).0.abort();
    end(&event_loop, &server, &logs);
}

#[test]
fn x44_a_client_that_is_not_to_be_believed_costs_the_server_nothing() {
    let event_loop = TestLoop::new();
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let config = TlsServerConfig::builder()
        .certificate(servers.good(&["127.0.0.1"]).certified_key())
        .require_client_certificates(clients.roots())
        .build()
        .unwrap();
    let (server, logs) = serve(&event_loop, &config, Hooks::echo);
    let good = TlsClientConfig::builder()
        .roots(servers.roots())
        .certificate(clients.for_client("somebody").certified_key())
        .build()
        .unwrap();
    for round in 1..=20 {
        // Its own handshake may seem to succeed: in TLS 1.3 the refusal comes behind.
        let (protocol, log) = Hooks::new().recorded();
        let options = ConnectOptions::from(address(&server)).tls(servers.client());
        let connecting = event_loop.create_connection(move || protocol, options);
        run_until(&event_loop, || connecting.done());
        run_until(&event_loop, || server.stats().handshakes_failed == round);
        run_until(&event_loop, || event_loop.open_connections() == 0);
        assert!(!log.is_made() || matches!(log.lost_reason(), Some(Some(_))), "{:?}", log.calls());
    }
    assert!(logs.get().is_empty());
    let (transport, _) = connect(&event_loop, &server, &good, Hooks::new());
    run_until(&event_loop, || logs.get().len() == 1);
    transport.abort();
    end(&event_loop, &server, &logs);
}

#[test]
fn x44_what_is_no_handshake_is_dropped_and_counted() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let (client, config) = configs();
    let (server, logs) = serve(&event_loop, &config, Hooks::echo);
    let noise: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"\x16\x03\x01\xff\xff",
        &[0; 4096],
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    ];
    for (index, bytes) in noise.into_iter().enumerate() {
        let mut peer = plain(&server);
        peer.write_all(bytes).unwrap();
        drop(peer);
        run_until(&event_loop, || server.stats().handshakes_failed == index as u64 + 1);
    }
    drop(plain(&server)); // not even a word
    run_until(&event_loop, || server.stats().handshakes_failed == noise.len() as u64 + 1);
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert!(logs.get().is_empty());
    assert!(errors.get().is_empty(), "peers are no errors of ours");
    let (transport, _) = connect(&event_loop, &server, &client, Hooks::new());
    transport.abort();
    end(&event_loop, &server, &logs);
}

#[test]
fn x45_a_client_does_not_wait_for_ever_for_a_server_that_is_silent() {
    let event_loop = TestLoop::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, _) = configs();
    let options = ConnectOptions::from(listener.local_addr().unwrap())
        .tls(client.handshake_timeout(Duration::from_secs(7)));
    let connecting = event_loop.create_connection(Hooks::new, options);
    let (mut peer, _) = listener.accept().unwrap();
    peer.set_nonblocking(true).unwrap();
    run_until(&event_loop, || peer.peek(&mut [0; 1]).is_ok_and(|count| count == 1));
    event_loop.advance(Duration::from_millis(6_900));
    assert!(!connecting.done());
    event_loop.advance(Duration::from_millis(200));
    let error = failure(&event_loop, &connecting);
    assert_eq!(error.io_kind(), Some(ErrorKind::TimedOut));
    assert!(error.to_string().contains("7 seconds"), "{error}");
    run_until(&event_loop, || event_loop.open_connections() == 0);
    peer.set_nonblocking(false).unwrap();
    let _ = std::io::Read::read_to_end(&mut peer, &mut Vec::new()); // an end, or a reset
}

#[test]
fn x45_a_server_does_not_wait_for_ever_for_clients_that_are_silent() {
    let event_loop = TestLoop::new();
    let (_, config) = configs();
    let config = config.handshake_timeout(Duration::from_secs(7));
    let (server, logs) = serve(&event_loop, &config, Hooks::new);
    let peers: Vec<_> = (0..5).map(|_| plain(&server)).collect();
    run_until(&event_loop, || server.connection_count() == 5);
    for mut peer in &peers {
        peer.write_all(b"\x16\x03\x01\x00\x80\x01").unwrap(); // it begins, and does not end
    }
    event_loop.run_ready_now();
    event_loop.advance(Duration::from_millis(6_900));
    assert_eq!(server.connection_count(), 5);
    event_loop.advance(Duration::from_millis(200));
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert_eq!(server.stats().handshakes_failed, 5);
    assert_eq!(server.stats().accepted, 5);
    end(&event_loop, &server, &logs);
}

#[test]
fn x44_a_plain_server_is_no_server_for_an_encrypted_client() {
    let event_loop = TestLoop::new();
    let (client, _) = configs();
    let server = event_loop.create_server(Hooks::echo, ("127.0.0.1", 0)).result().unwrap();
    let error = refusal(&event_loop, ConnectOptions::from(address(&server)).tls(client));
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidData), "{error:?}");
    assert_eq!(server.stats().handshakes_failed, ServerStats::default().handshakes_failed);
    let roots = Roots::none();
    assert!(TlsClientConfig::builder().roots(roots).build().is_err());
    server.close();
    run_until(&event_loop, || event_loop.open_connections() == 0);
}
