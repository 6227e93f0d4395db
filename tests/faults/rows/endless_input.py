"""Peers that send one line, one head or one mail without an end: refused at the limit, kept nowhere."""
from harness import HTTP, MIB, SMTP, bounded, row, under_test
from peers import endless, quiet, receive_all


@row
def an_endless_request_line_or_head_is_refused_at_the_limit():
    cases = (
        (b"GET /", b"x" * 65536, b"HTTP/1.1 414 "),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"x" * 65536, b"HTTP/1.1 431 "),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n" * 1000, b"HTTP/1.1 431 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65536, b"HTTP/1.1 413 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
         b"1000\r\n" + b"x" * 4096 + b"\r\n", b"HTTP/1.1 413 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=", b"x" * 65536,
         b"HTTP/1.1 400 "),
    )
    with under_test(HTTP) as program, quiet(program), bounded(program):
        for start, piece, status in cases:
            for _ in range(5):
                answer, end, sent = endless(program, start, piece)
                assert end in ("eof", "reset"), (status, end, sent)
                assert answer.startswith(status), f"wanted {status}, got {answer[:80]} ({end} after {sent})"


@row
def a_refusal_is_heard_by_a_client_that_sends_first_and_reads_then():
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"
    with under_test(HTTP) as program:
        for _ in range(20):
            with program.connect() as peer:
                try:
                    peer.sendall(head)
                except (ConnectionResetError, BrokenPipeError):
                    pass
                answer, _ = receive_all(peer)
            assert answer.startswith(b"HTTP/1.1 431 "), "the reply was lost with a reset"


@row
def an_endless_line_to_smtp_is_refused_and_kept_nowhere():
    with under_test(SMTP) as program, quiet(program):
        with program.connect() as peer:
            peer.sendall(b"EHLO " + b"x" * 100_000 + b"\r\nNOOP\r\n")
            said = b""
            while said.count(b"\r\n") < 3:
                said += peer.recv(65536)
            assert b"\r\n500 " in said and b"\r\n250 " in said, said
        with bounded(program):
            _, end, sent = endless(program, b"EHLO ", b"x" * 65536, 32 * MIB)
        program.note(f"{end} after {sent / MIB:.0f} MiB")


@row
def an_endless_mail_is_refused_at_the_limit():
    start = b"EHLO me\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
    line = b"x" * 900 + b"\r\n"
    with under_test(SMTP, "--largest", "2") as program, quiet(program):
        with bounded(program, 8 * MIB):
            endless(program, start, line * 100, 32 * MIB)
        with program.connect() as peer:
            peer.sendall(start + line * 5000 + b".\r\nQUIT\r\n")
            said, end = receive_all(peer)
            assert b"\r\n552 " in said and end == "eof", (said, end)
