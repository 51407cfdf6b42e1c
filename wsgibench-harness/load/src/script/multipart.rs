//! `multipart/form-data` (RFC 7578).

use bytes::{BufMut, Bytes, BytesMut};

/// A form with files.
///
/// ```
/// use wsgibench_harness::load::script::Multipart;
/// let form = Multipart::new()
///     .text("title", "A photograph")
///     .file("photo", "cat.jpg", "image/jpeg", vec![0xFF, 0xD8, 0xFF]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Multipart {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    name: String,
    file: Option<(String, String)>,
    content: Bytes,
}

impl Multipart {
    /// Creates an empty form.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    #[must_use]
    pub fn text(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parts.push(Part {
            name: name.into(),
            file: None,
            content: Bytes::from(value.into()),
        });
        self
    }

    /// Adds a file with its name and content type.
    #[must_use]
    pub fn file(
        mut self,
        name: impl Into<String>,
        file_name: impl Into<String>,
        content_type: impl Into<String>,
        content: impl Into<Bytes>,
    ) -> Self {
        self.parts.push(Part {
            name: name.into(),
            file: Some((file_name.into(), content_type.into())),
            content: content.into(),
        });
        self
    }

    /// Returns the content type and the body. `random` generates the boundary.
    pub(super) fn encode(&self, mut random: impl FnMut() -> u64) -> (String, Bytes) {
        let boundary = loop {
            let boundary = format!("wsgibench{:016x}{:016x}", random(), random());
            let taken = |part: &Part| memchr::memmem::find(&part.content, boundary.as_bytes()).is_some();
            if !self.parts.iter().any(taken) {
                break boundary;
            }
        };
        let mut body = BytesMut::new();
        for part in &self.parts {
            body.put_slice(format!("--{boundary}\r\n").as_bytes());
            let mut head = format!("Content-Disposition: form-data; name=\"{}\"", quoted(&part.name));
            if let Some((file_name, content_type)) = &part.file {
                head.extend(["; filename=\"", &quoted(file_name), "\""]);
                head.extend(["\r\nContent-Type: ", &content_type.replace(['\r', '\n'], " ")]);
            }
            body.put_slice(head.as_bytes());
            body.put_slice(b"\r\n\r\n");
            body.put_slice(&part.content);
            body.put_slice(b"\r\n");
        }
        body.put_slice(format!("--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), body.freeze())
    }
}

/// Escapes a name as browsers do (WHATWG), so that it cannot end early.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
