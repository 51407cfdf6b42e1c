//! Large bodies, both ways. The application tells the digest of what it got, so that of uploads not a byte goes astray unseen; of
//! downloads the length is checked, and the header that comes with them.

use wsgibench_harness::prelude::*;

const MIB: u64 = 1 << 20;

/// A download of 1 MiB with its length.
#[scenario(connections = [16])]
pub fn download(connections: usize) -> Load {
    Load::closed(connections)
        .get("/download")
        .expect_status(200)
        .expect_header(
            "x-body-sha256",
            "446ac463ebaff50acc8fba52f30454044d72a44e579fc1b7e7cbabf4cf71a795",
        )
        .expect(Check::BodyLength(MIB))
}

/// An answer of sixteen pieces of 4 KiB whose length is not known beforehand: the server has to frame it, and to send each piece as it
/// comes.
#[scenario(connections = [64], tags = ["streamed-answers"])]
pub fn stream(connections: usize) -> Load {
    Load::closed(connections)
        .get("/stream")
        .expect_status(200)
        .expect_header(
            "x-body-sha256",
            "ee38a8a8f10317a62955a8a15a6454f38f820a50b4c49d6b65ea09d41232e47c",
        )
        .expect(Check::BodyLength(64 * 1024))
}

/// Digests of the pattern that the load engine streams.
const DIGEST_OF_1_MIB: &str = "8b507229cc9ced13d91053c189a69fde95dd0905fd8d60814bca6520fd07cc4e";
const DIGEST_OF_64_MIB: &str = "ffad3e2c550ad2ae3d14fd572456c8655dc8e261737264526b9faf9bbbe30e6f";

fn upload_of(connections: usize, body: Body, length: u64, digest: &str) -> Load {
    Load::closed(connections).request(Request {
        headers: vec![("Content-Type".into(), "application/octet-stream".into())],
        body,
        checks: vec![
            Check::Status(200),
            Check::Body(format!(r#"{{"length":{length},"sha256":"{digest}"}}"#).into_bytes()),
        ],
        ..Request::new("POST", "/upload")
    })
}

/// An upload of 1 MiB.
#[scenario(connections = [16])]
pub fn upload(connections: usize) -> Load {
    upload_of(connections, Body::Streamed(MIB), MIB, DIGEST_OF_1_MIB)
}

/// An upload of 1 MiB in chunks. Some servers hand the application nothing of it.
#[scenario(connections = [16])]
pub fn upload_chunked(connections: usize) -> Load {
    upload_of(connections, Body::Chunked(MIB), MIB, DIGEST_OF_1_MIB)
}

/// An upload of 64 MiB, which must not grow the server's memory.
#[scenario(connections = [4])]
pub fn upload_large(connections: usize) -> Load {
    upload_of(connections, Body::Streamed(64 * MIB), 64 * MIB, DIGEST_OF_64_MIB).duration(secs(10))
}
