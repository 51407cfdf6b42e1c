//! The bench's own program as an image: the executable and its libraries, without a base image, so that it does not depend on the C
//! library of one.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// Folder of its files in the image.
pub(crate) const FOLDER: &str = "/null";

/// Writes a build context `FROM scratch` with this executable and its loaded libraries. Returns the command that starts it.
pub(crate) fn write_context(folder: &Path) -> io::Result<Vec<String>> {
    let executable = std::env::current_exe()?;
    fs::copy(&executable, folder.join("wsgibench"))?;
    let mut loader = None;
    let mut files = vec!["wsgibench".to_owned()];
    for library in loaded_libraries()? {
        let Some(name) = library.file_name().and_then(|n| n.to_str()) else {
            continue;
        };
        fs::copy(&library, folder.join(name))?;
        if name.starts_with("ld-") {
            loader = Some(name.to_owned());
        }
        files.push(name.to_owned());
    }
    let dockerfile = format!("FROM scratch\nCOPY {} {FOLDER}/\n", files.join(" "));
    fs::write(folder.join("Dockerfile"), dockerfile)?;
    let program = format!("{FOLDER}/wsgibench");
    Ok(match loader {
        Some(loader) => vec![
            format!("{FOLDER}/{loader}"),
            "--library-path".to_owned(),
            FOLDER.to_owned(),
            program,
        ],
        // Linked statically.
        None => vec![program],
    })
}

fn loaded_libraries() -> io::Result<BTreeSet<PathBuf>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    Ok(libraries_in(&maps))
}

/// Returns the paths of the shared libraries in the memory mappings of a process.
fn libraries_in(maps: &str) -> BTreeSet<PathBuf> {
    maps.lines()
        .filter_map(|line| Some(&line[line.find('/')?..]))
        .filter(|path| {
            Path::new(path)
                .file_name()
                .is_some_and(|n| n.to_string_lossy().contains(".so"))
        })
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_libraries_are_found_in_mappings() {
        let maps = "7f00-7f01 r-xp 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f01-7f02 rw-p 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    5500-5501 r-xp 00000000 fe:00 1 /target/release/deps/wsgi-1234\n\
                    7f02-7f03 r-xp 00000000 fe:00 1 /usr/lib/ld-linux-x86-64.so.2\n\
                    7ffd-7ffe rw-p 00000000 00:00 0 [stack]\n";
        let found: Vec<_> = libraries_in(maps).into_iter().collect();
        assert_eq!(
            found,
            [
                PathBuf::from("/usr/lib/ld-linux-x86-64.so.2"),
                PathBuf::from("/usr/lib/x86_64-linux-gnu/libc.so.6")
            ]
        );
    }
}
