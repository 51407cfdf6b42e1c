//! The answers, ready made.

use super::ANSWER;

/// The same when the connection ends with it.
const OK_CLOSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
const BODY: usize = 2;

/// The answer to a good request.
pub(super) fn good(head_only: bool, close: bool) -> &'static [u8] {
    let whole = if close { OK_CLOSE } else { ANSWER };
    if head_only { &whole[..whole.len() - BODY] } else { whole }
}

/// The answer to a request that is none; the connection ends with it.
pub(super) fn bad(status: u16) -> &'static [u8] {
    match status {
        411 => b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        431 => b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        _ => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    }
}
