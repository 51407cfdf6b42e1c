//! Streamed bodies in both directions, and servers that reject them.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use wsgibench_harness::load::{ErrorKind, Load, Request, get, post, put};

use super::server::{Server, assert_fine, assert_idle, assert_only, reset, round};

const MEGABYTES: u64 = 8 * 1024 * 1024;

fn upload(length: u64) -> Request {
    post("/upload").streamed_body(length)
}

/// Reads a head; returns the bytes after it.
fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(at) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = seen.split_off(at + 4);
            return Ok(Some((String::from_utf8_lossy(&seen).into_owned(), rest)));
        }
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Ok(None);
        }
        seen.extend_from_slice(&buffer[..n]);
    }
}

/// Reads requests whole and responds with the number of body bytes on the wire.
fn count_body(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    while let Some((head, rest)) = read_head(&mut stream)? {
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map(|value| value.parse::<u64>().unwrap());
        let mut got = rest.len() as u64;
        let mut tail = rest;
        while length.map_or(!tail.ends_with(b"0\r\n\r\n"), |length| got < length) {
            let n = stream.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            got += n as u64;
            tail.extend_from_slice(&buffer[..n]);
            let keep = tail.len().saturating_sub(5);
            tail.drain(..keep);
        }
        let body = got.to_string();
        stream.write_all(format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    }
    Ok(())
}

#[test]
fn large_uploads_are_complete() {
    let server = Server::start(count_body);
    let checked = upload(MEGABYTES).expect_status(201).expect_body(MEGABYTES.to_string());
    let plain = round(server.address, Load::closed(2).request(checked), 1.0);
    assert_fine(&plain);
    assert!(plain.bytes_sent >= plain.counts.done * MEGABYTES);

    // 512 full chunks of 16 KiB in 16,392 bytes each, and the last chunk.
    let coded = 512 * 16_392 + 5;
    let chunked = post("/upload")
        .chunked_body(MEGABYTES)
        .expect_status(201)
        .expect_body(coded.to_string());
    assert_fine(&round(server.address, Load::closed(2).request(chunked), 1.0));
}

#[test]
fn large_downloads_are_counted_without_buffering() {
    let server = Server::start(|mut stream| {
        let piece = vec![b'x'; 64 * 1024];
        while read_head(&mut stream)?.is_some() {
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {MEGABYTES}\r\n\r\n").as_bytes())?;
            for _ in 0..MEGABYTES / (64 * 1024) {
                stream.write_all(&piece)?;
            }
        }
        Ok(())
    });
    let load = Load::closed(2).request(get("/").expect_body_length(MEGABYTES));
    let round = round(server.address, load, 1.0);
    assert_fine(&round);
    assert!(round.bytes_received >= round.counts.done * MEGABYTES);
}

#[test]
fn unread_upload_times_out() {
    let server = Server::start(|stream| {
        thread::sleep(Duration::from_secs(20));
        drop(stream);
        Ok(())
    });
    // Its own timeout overrides the load's 30 s.
    let load = Load::closed(2).request(upload(64 * MEGABYTES).timeout(Duration::from_millis(200)));
    let round = round(server.address, load, 0.8);
    assert_eq!((round.counts.done, round.counts.failed), (0, 0), "{:?}", round.errors);
    assert!(round.counts.timed_out >= 2, "{:?}", round.counts);
    assert_idle(&round);
}

#[test]
fn response_before_the_end_of_the_upload_is_accepted() {
    let server = Server::start(|mut stream| {
        read_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        // Like nginx, gives the client a moment to read it.
        thread::sleep(Duration::from_millis(20));
        Ok(())
    });
    let load = Load::closed(2).request(upload(64 * MEGABYTES).expect_status(413));
    // Not idle: every attempt fills the buffers of a connection with megabytes.
    assert_fine(&round(server.address, load, 0.6));
}

#[test]
fn reset_during_an_upload_is_a_failure() {
    let server = Server::start(|mut stream| {
        read_head(&mut stream)?;
        reset(stream);
        Ok(())
    });
    let round = round(server.address, Load::closed(2).request(upload(64 * MEGABYTES)), 0.6);
    assert!(round.counts.failed > 0, "{:?}", round.counts);
    // The kernel determines which of the two sees the reset first.
    if round.errors.len() == 1 {
        assert!(
            matches!(round.errors[0].0, ErrorKind::WriteReset | ErrorKind::ReadReset),
            "{:?}",
            round.errors
        );
    } else {
        assert!(
            round
                .errors
                .iter()
                .all(|(kind, _)| matches!(kind, ErrorKind::WriteReset | ErrorKind::ReadReset))
        );
    }
    assert_eq!(round.counts.done, 0);
    assert_idle(&round);
}

#[test]
fn close_during_an_upload_is_not_a_response() {
    let server = Server::start(|mut stream| {
        read_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200")?;
        Ok(())
    });
    let load = Load::closed(2).request(put("/upload").body(b"x".repeat(100)));
    let round = round(server.address, load, 0.5);
    assert!(round.counts.failed > 0);
    assert_eq!(round.counts.done, 0);
    if round.errors.len() == 1 {
        assert_only(&round, round.errors[0].0);
    }
}
