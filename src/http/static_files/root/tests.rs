//! Files that become something else after the look-up.

use std::io::Read;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;

type LookUp = fn(&Path) -> io::Result<Found>;
type Make = fn(&Path);

/// The look-ups of this system, and whether they hold what they found.
const LOOK_UPS: [(LookUp, bool); 2] = [
    (
        Found::look_up,
        cfg!(any(target_os = "linux", target_os = "android")),
    ),
    (Found::resolved, false),
];

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Folder(path.canonicalize().expect("it is there"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Ignore the error: the next boot cleans up.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// STATIC-9: what a name becomes after the look-up is never opened. A FIFO would wait for a
/// writer for ever.
#[test]
fn what_a_name_becomes_is_not_opened() {
    let folder = Folder::new("root-becomes");
    let path = folder.0.join("a");
    let become_what: [(&str, Make); 3] = [
        ("a directory", |path| fs::create_dir(path).expect("free")),
        ("another file", |path| {
            fs::write(path, "other").expect("free")
        }),
        ("a FIFO", |path| {
            let made = Command::new("mkfifo").arg(path).status();
            assert!(made.expect("mkfifo is everywhere").success());
        }),
    ];
    for (what, make) in become_what {
        for (look_up, holds) in LOOK_UPS {
            fs::write(&path, "it").expect("a file");
            let found = look_up(&path).expect("it is there");
            // The inode of the first file must not be free for the second.
            fs::rename(&path, folder.0.join("kept")).expect("it is there");
            make(&path);
            let (said, heard) = mpsc::channel();
            thread::spawn(move || {
                let opened = found.open().map(|(mut file, _)| {
                    let mut content = String::new();
                    file.read_to_string(&mut content).expect("text");
                    content
                });
                said.send(opened.map_err(|error| error.kind()))
            });
            let opened = heard.recv_timeout(Duration::from_secs(20));
            let opened = opened.expect("opening does not wait");
            let expected = match holds {
                true => Ok("it".to_owned()),
                false => Err(ErrorKind::NotFound),
            };
            assert_eq!(opened, expected, "{what}");
            // Whatever it is now.
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
    }
}

/// STATIC-4: a directory that becomes a link after the look-up shows nothing from outside.
#[test]
fn what_a_directory_becomes_is_not_listed() {
    let folder = Folder::new("root-link");
    fs::create_dir_all(folder.0.join("outside/secret")).expect("a directory");
    for (look_up, holds) in LOOK_UPS {
        let path = folder.0.join("d");
        fs::create_dir_all(path.join("public")).expect("a directory");
        let found = look_up(&path).expect("it is there");
        fs::rename(&path, folder.0.join("moved")).expect("it is there");
        std::os::unix::fs::symlink("outside", &path).expect("free");
        let names = found.read_dir().map(|entries| {
            let names = entries.map(|entry| entry.expect("it is there").file_name());
            names.collect::<Vec<_>>()
        });
        match holds {
            true => assert_eq!(names.expect("it is held"), ["public"]),
            false => assert!(names.is_err(), "{names:?}"),
        }
        fs::remove_file(&path).expect("a link");
        fs::remove_dir_all(folder.0.join("moved")).expect("it is there");
    }
}
