//! Messages on a byte stream: a length of four bytes, big-endian, then JSON.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest message, bytes: far above a part with a full histogram per second, far below the memory of a pod.
const LONGEST: usize = 64 << 20;

/// Encodes a message.
///
/// # Errors
/// The message has no JSON form or is too long.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).map_err(io::Error::other)?;
    let length = bytes.len() - 4;
    let prefix = u32::try_from(length).ok().filter(|_| length <= LONGEST);
    let Some(prefix) = prefix else {
        return Err(io::Error::other(format!("a message of {length} bytes is too long")));
    };
    bytes[..4].copy_from_slice(&prefix.to_be_bytes());
    Ok(bytes)
}

/// Writes a message.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&encode(message)?).await?;
    stream.flush().await
}

/// Reads a message; `None` at the end of the stream.
///
/// # Errors
/// The stream failed, ended within a message, or has a message of another kind.
pub(crate) async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let mut prefix = [0; 4];
    match stream.read_exact(&mut prefix).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(prefix) as usize;
    if length > LONGEST {
        return Err(io::Error::other(format!("a message of {length} bytes is too long")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_survive_and_damage_is_an_error() {
        let mut bytes = encode(&"first").unwrap();
        bytes.extend(encode(&[1, 2]).unwrap());
        let mut stream = bytes.as_slice();
        assert_eq!(read::<String>(&mut stream).await.unwrap().as_deref(), Some("first"));
        assert_eq!(read::<Vec<u8>>(&mut stream).await.unwrap(), Some(vec![1, 2]));
        assert_eq!(read::<String>(&mut stream).await.unwrap(), None);
        assert!(read::<String>(&mut &bytes[..6]).await.is_err(), "cut off");
        assert!(read::<u8>(&mut bytes.as_slice()).await.is_err(), "another kind");
        assert!(read::<String>(&mut [0xff; 9].as_slice()).await.is_err(), "too long");
    }
}
