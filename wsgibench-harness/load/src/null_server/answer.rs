//! The prepared responses.

use super::ANSWER;

/// The response after which the connection is closed.
const OK_CLOSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
const BODY: usize = 2;

/// Returns the response to a valid request.
pub(super) fn good(head_only: bool, close: bool) -> &'static [u8] {
    let whole = if close { OK_CLOSE } else { ANSWER };
    if head_only { &whole[..whole.len() - BODY] } else { whole }
}

/// Returns the response to an invalid request, after which the connection is closed.
pub(super) fn bad(status: u16) -> &'static [u8] {
    match status {
        411 => b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        431 => b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        _ => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    }
}
