//! tungstenite over our streams.

use super::support::{pattern, port_of, run};
use futures::Exception;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, client_async};
use tulipa::streams::{Stream, StreamReader, StreamWriter, open_connection, start_server};

/// Sends back what comes, until the peer closes.
async fn echo(reader: StreamReader, writer: StreamWriter) -> Result<(), Exception> {
    let mut socket = accept_async(reader.join(writer)).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

#[test]
fn web_sockets_echo_and_close_in_good_order() {
    run(async {
        let server = start_server(echo, ("127.0.0.1", 0)).await?;
        let stream = Stream::from(open_connection(("127.0.0.1", port_of(&server))).await?);
        let (mut socket, response) = client_async("ws://127.0.0.1/", stream).await?;
        assert_eq!(response.status(), 101);
        let large = pattern(1 << 20);
        for message in [Message::text("tulip"), Message::binary(large), Message::text("")] {
            socket.send(message.clone()).await?;
            assert!(socket.next().await.expect("an answer")? == message);
        }
        socket.send(Message::Ping("still there?".into())).await?;
        let pong = socket.next().await.expect("an answer")?;
        assert_eq!(pong, Message::Pong("still there?".into()));
        socket.close(None).await?;
        while let Some(message) = socket.next().await {
            assert!(message?.is_close());
        }
        server.close();
        Ok(())
    });
}
