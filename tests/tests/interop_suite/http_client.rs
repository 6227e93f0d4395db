//! A hyper client on our loop, against a server of ours that is written by hand.

use super::support::{body_of, connect, get, port_of, run};
use futures::Exception;
use tulipa::streams::start_server;

#[test]
fn a_hyper_client_reads_what_comes_in_pieces() {
    run(async {
        let server = start_server(
            |mut reader, writer| async move {
                while reader.readline().await? != b"\r\n" {}
                for byte in b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ntuli\r\n2\r\npa\r\n0\r\n\r\n" {
                    writer.write(&[*byte]);
                    writer.drain().await?;
                    futures::yield_now().await?;
                }
                Ok::<_, Exception>(())
            },
            ("127.0.0.1", 0),
        )
        .await?;
        let mut client = connect(port_of(&server)).await?;
        let response = client.send_request(get("/")).await?;
        assert_eq!(body_of(response).await?, "tulipa");
        server.close();
        Ok(())
    });
}

#[test]
fn a_hyper_client_is_told_when_the_connection_is_lost() {
    run(async {
        let server = start_server(
            |mut reader, writer| async move {
                reader.readline().await?;
                writer.transport().abort();
                Ok::<_, Exception>(())
            },
            ("127.0.0.1", 0),
        )
        .await?;
        let mut client = connect(port_of(&server)).await?;
        let error = Exception::from(client.send_request(get("/")).await.unwrap_err());
        assert!(!error.is_cancelled(), "{error:?}");
        server.close();
        Ok(())
    });
}
