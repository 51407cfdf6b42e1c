//! Large bodies in both directions. The response to an upload contains the body's digest, so that a missing byte fails the check; for
//! downloads the length and a header are checked.

use wsgibench_harness::prelude::*;

const MIB: u64 = 1 << 20;

/// A download of 1 MiB with its length.
#[scenario(connections = [16])]
pub fn download(connections: usize) -> Load {
    Load::closed(connections).request(
        get("/download")
            .expect_status(200)
            .expect_header(
                "x-body-sha256",
                "446ac463ebaff50acc8fba52f30454044d72a44e579fc1b7e7cbabf4cf71a795",
            )
            .expect_body_length(MIB),
    )
}

/// A response of sixteen pieces of 4 KiB whose length is not known beforehand: the server frames it and sends each piece at once.
#[scenario(connections = [64], tags = ["streamed-answers"])]
pub fn stream(connections: usize) -> Load {
    Load::closed(connections).request(
        get("/stream")
            .expect_status(200)
            .expect_header(
                "x-body-sha256",
                "ee38a8a8f10317a62955a8a15a6454f38f820a50b4c49d6b65ea09d41232e47c",
            )
            .expect_body_length(64 * 1024),
    )
}

/// Digests of the pattern that the load engine streams.
const DIGEST_OF_1_MIB: &str = "8b507229cc9ced13d91053c189a69fde95dd0905fd8d60814bca6520fd07cc4e";
const DIGEST_OF_64_MIB: &str = "ffad3e2c550ad2ae3d14fd572456c8655dc8e261737264526b9faf9bbbe30e6f";

/// Expects the digest that the application answers for a body of `length` bytes.
fn upload_of(request: Request, length: u64, digest: &str) -> Request {
    request
        .header("Content-Type", "application/octet-stream")
        .expect_status(200)
        .expect_body(format!(r#"{{"length":{length},"sha256":"{digest}"}}"#))
}

/// An upload of 1 MiB.
#[scenario(connections = [16])]
pub fn upload(connections: usize) -> Load {
    Load::closed(connections).request(upload_of(post("/upload").streamed_body(MIB), MIB, DIGEST_OF_1_MIB))
}

/// An upload of 1 MiB in chunks. Some servers pass none of it to the application.
#[scenario(connections = [16])]
pub fn upload_chunked(connections: usize) -> Load {
    Load::closed(connections).request(upload_of(post("/upload").chunked_body(MIB), MIB, DIGEST_OF_1_MIB))
}

/// An upload of 64 MiB, which must not grow the server's memory.
#[scenario(connections = [4])]
pub fn upload_large(connections: usize) -> Load {
    Load::closed(connections).duration(secs(10)).request(upload_of(
        post("/upload").streamed_body(64 * MIB),
        64 * MIB,
        DIGEST_OF_64_MIB,
    ))
}
