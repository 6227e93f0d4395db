//! What is known of an encrypted connection.

use crate::support::*;
use eventloop::TestLoop;
use std::rc::Rc;
use tulipa_transports::tls::{TlsClientConfig, TlsServerConfig};
use tulipa_transports::{ConnectOptions, ExtraValue, NetworkLoop, TlsInfo, TlsVersion};

#[test]
fn x53_both_ends_know_what_the_handshake_has_settled() {
    let event_loop = TestLoop::new();
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let below = servers.below("office");
    let own = below.good(&["localhost", "127.0.0.1"]);
    let theirs = clients.for_client("somebody");
    let config = TlsServerConfig::builder()
        .certificate(own.certified_key())
        .ask_for_client_certificates(clients.roots())
        .alpn(["tulip"])
        .build()
        .unwrap();
    let known: Slot<Option<Rc<TlsInfo>>> = Slot::new();
    let tell = known.clone();
    let (server, logs) = serve(&event_loop, &config, move || {
        let tell = tell.clone();
        Hooks::new().made(move |transport| tell.set(transport.extra_info().tls))
    });
    let client = TlsClientConfig::builder()
        .roots(servers.roots())
        .certificate(theirs.certified_key())
        .alpn(["rose", "tulip"])
        .build()
        .unwrap();
    let options = ConnectOptions::from(address(&server)).server_name("localhost").tls(client);
    let connecting = event_loop.create_connection(Hooks::new, options);
    let transport = event_loop.run_until_complete(&connecting).unwrap();
    run_until(&event_loop, || known.get().is_some());
    let (ours, at_server) = (transport.extra_info().tls.unwrap(), known.take().unwrap());

    assert_eq!(ours.peer_certificates, own.chain);
    assert_eq!(at_server.peer_certificates, theirs.chain);
    for info in [&ours, &at_server] {
        assert_eq!(info.version, TlsVersion::V1_3);
        assert_eq!(info.version.to_string(), "TLSv1.3");
        assert_eq!(info.alpn.as_deref(), Some(&b"tulip"[..]));
        assert_eq!(info.server_name.as_deref(), Some("localhost"));
        assert!(info.cipher.name.starts_with("TLS_AES_") || info.cipher.name.contains("CHACHA20"));
        assert!([128, 256].contains(&info.cipher.bits));
        assert!(!info.resumed);
    }
    assert_eq!(ours.cipher, at_server.cipher);

    // By asyncio's names; and what belongs to the connection below.
    let get = |name: &str| transport.get_extra_info(name);
    assert!(matches!(get("peercert"), Some(ExtraValue::Certificate(der)) if der == own.chain[0]));
    assert!(matches!(get("cipher"), Some(ExtraValue::Cipher(cipher, TlsVersion::V1_3))
        if cipher == ours.cipher));
    assert!(matches!(get("version"), Some(ExtraValue::Version(TlsVersion::V1_3))));
    assert!(matches!(get("alpn"), Some(ExtraValue::Protocol(name)) if name == b"tulip"));
    assert!(matches!(get("ssl_object"), Some(ExtraValue::Tls(info)) if info == ours));
    assert!(get("compression").is_none() && get("sslcontext").is_none());
    let info = transport.extra_info();
    assert_eq!(info.peername.unwrap().as_ip(), Some(address(&server)));
    assert!(info.sockname.is_some() && info.socket.unwrap().tcp_nodelay().unwrap());

    // it stays known.
    transport.close();
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    assert_eq!(transport.extra_info().tls, Some(ours));
    assert_eq!(transport.extra_info().peername.unwrap().as_ip(), Some(address(&server)));
    end(&event_loop, &server, &logs);
}

#[test]
fn x53_a_client_that_shows_nothing_has_no_certificate() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let known: Slot<Option<Rc<TlsInfo>>> = Slot::new();
    let tell = known.clone();
    let (server, logs) = serve(&event_loop, &config, move || {
        let tell = tell.clone();
        Hooks::new().made(move |transport| {
            assert!(transport.get_extra_info("peercert").is_none());
            assert!(transport.get_extra_info("alpn").is_none());
            tell.set(transport.extra_info().tls);
        })
    });
    let (transport, _) = connect(&event_loop, &server, &client, Hooks::new());
    run_until(&event_loop, || known.get().is_some());
    let info = known.take().unwrap();
    assert!(info.peer_certificates.is_empty());
    assert_eq!(info.server_name, None, "an address is not asked for by name");
    transport.abort();
    end(&event_loop, &server, &logs);
}

#[test]
fn x54_a_session_is_resumed_on_the_next_connection() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let (server, logs) = serve(&event_loop, &config, Hooks::echo);
    let resumed = || {
        let heard = Slot::<bool>::new();
        let hear = heard.clone();
        let hooks = Hooks::new()
            .made(|transport| {
                transport.write(b"tulip");
            })
            .data(move |_, _| hear.set(true));
        let (transport, _) = connect(&event_loop, &server, &client, hooks);
        run_until(&event_loop, || heard.get()); // the tickets came before
        transport.close();
        event_loop.run_until_complete(&transport.wait_closed()).unwrap();
        let info = transport.extra_info().tls.unwrap();
        assert!(!info.peer_certificates.is_empty(), "it is known whose session it was");
        info.resumed
    };
    assert_eq!([resumed(), resumed(), resumed()], [false, true, true]);
    end(&event_loop, &server, &logs);
}

#[test]
fn x53_without_encryption_there_is_nothing_to_know() {
    let event_loop = TestLoop::new();
    let creating = event_loop.create_server(Hooks::new, ("127.0.0.1", 0));
    let server = creating.result().unwrap();
    let connecting = event_loop.create_connection(Hooks::new, address(&server));
    let transport = event_loop.run_until_complete(&connecting).unwrap();
    for name in ["peercert", "cipher", "version", "alpn", "ssl_object"] {
        assert!(transport.get_extra_info(name).is_none());
    }
    transport.abort();
    server.close();
    server.abort_clients();
    run_until(&event_loop, || event_loop.open_connections() == 0);
}
