//! Decodes bodies from their `Content-Encoding`.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

/// Longest decoded body, bytes: a small body can decode to any size.
const LIMIT: u64 = 1 << 30;

/// A body that cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undecoded {
    #[error("content-encoding {0} is not supported, only gzip and deflate are; the body has {1} bytes")]
    Unsupported(String, usize),
    #[error("the body is not valid {0}: {1}")]
    Damaged(&'static str, io::Error),
    #[error("the body decodes to more than 1 GiB")]
    TooLong,
}

/// Returns the decoded body. A body without a content coding is not copied.
pub(super) fn decode(headers: &HeaderMap, body: &Bytes) -> Result<Bytes, Undecoded> {
    let mut decoded = body.clone();
    let codings: Vec<String> = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|coding| String::from_utf8_lossy(coding.trim_ascii()).to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity")
        .collect();
    if body.is_empty() {
        return Ok(decoded);
    }
    // The last coding was applied last.
    for coding in codings.iter().rev() {
        decoded = match coding.as_str() {
            "gzip" | "x-gzip" => read("gzip", MultiGzDecoder::new(&*decoded))?,
            // Some servers send raw deflate data instead of the zlib format.
            "deflate" => match read("deflate", ZlibDecoder::new(&*decoded)) {
                Err(Undecoded::Damaged(..)) => read("deflate", DeflateDecoder::new(&*decoded))?,
                outcome => outcome?,
            },
            other => return Err(Undecoded::Unsupported(other.to_owned(), body.len())),
        };
    }
    Ok(decoded)
}

fn read(name: &'static str, stream: impl Read) -> Result<Bytes, Undecoded> {
    let mut decoded = Vec::new();
    let length = stream
        .take(LIMIT + 1)
        .read_to_end(&mut decoded)
        .map_err(|error| Undecoded::Damaged(name, error))?;
    if length as u64 > LIMIT {
        return Err(Undecoded::TooLong);
    }
    Ok(decoded.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use http::HeaderValue;

    use super::*;

    const TEXT: &[u8] = b"{\"id\": 7, \"name\": \"Caf\xc3\xa9\"}";

    fn decoded(coding: &'static str, body: Vec<u8>) -> Result<Bytes, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        decode(&headers, &body.into()).map_err(|error| error.to_string())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_and_deflate_are_decoded() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(TEXT).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(TEXT).unwrap();
        for (coding, body) in [
            ("gzip", gzip(TEXT)),
            ("X-GZIP", gzip(TEXT)),
            ("gzip, gzip", gzip(&gzip(TEXT))),
            ("identity", TEXT.to_vec()),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", bare.finish().unwrap()),
        ] {
            assert_eq!(decoded(coding, body).as_deref(), Ok(TEXT), "{coding}");
        }
        assert_eq!(
            decoded("br", Vec::new()).as_deref(),
            Ok(&b""[..]),
            "the response to a HEAD"
        );
    }

    #[test]
    fn unsupported_codings_and_damaged_bodies_are_errors_that_name_the_coding() {
        for coding in ["br", "zstd", "compress"] {
            let error = decoded(coding, b"1234".to_vec()).unwrap_err();
            assert!(
                error.contains(&format!("content-encoding {coding} is not supported")),
                "{error}"
            );
        }
        let mut cut = gzip(TEXT);
        cut.truncate(12);
        assert!(decoded("gzip", cut).unwrap_err().contains("not valid gzip"));
    }
}
