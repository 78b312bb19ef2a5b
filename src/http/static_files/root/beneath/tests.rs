//! Files that become something else after they were asked for their kind.

use std::io::Read;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::http::static_files::root::tests::Folder;

/// `None` where the kernel has no `openat2`, so that nothing here is used.
fn root(folder: &Folder) -> Option<File> {
    open_root(&folder.0).expect("it is there")
}

/// STATIC-9: a FIFO is never waited for, and what has become something else is looked for again.
#[test]
fn what_a_name_becomes_is_not_sent() {
    use FileType::{Directory, RegularFile};

    let folder = Folder::new("beneath-becomes");
    let Some(root) = root(&folder) else { return };
    fs::create_dir(folder.0.join("directory")).expect("a directory");
    fs::write(folder.0.join("file"), "").expect("a file");
    let made = Command::new("mkfifo").arg(folder.0.join("fifo")).status();
    assert!(made.expect("mkfifo is everywhere").success());
    for (name, was, expected) in [
        ("file", RegularFile, None),
        ("directory", RegularFile, Some(Errno::AGAIN)),
        ("fifo", RegularFile, Some(Errno::AGAIN)),
        ("directory", Directory, None),
        ("file", Directory, Some(Errno::AGAIN)),
        ("fifo", Directory, Some(Errno::AGAIN)),
        ("missing", Directory, Some(Errno::NOENT)),
    ] {
        let (said, heard) = mpsc::channel();
        let root = root.try_clone().expect("a descriptor");
        thread::spawn(move || {
            let taken = take(&root, Path::new(name), was, ResolveFlags::BENEATH);
            said.send(taken.err())
        });
        let taken = heard.recv_timeout(Duration::from_secs(20));
        let taken = taken.expect("opening does not wait");
        assert_eq!(taken, expected, "{name}, which was a {was:?}");
    }
}

/// STATIC-4: a link that leads out is opened by nobody, whatever the name was when it was asked for.
#[test]
fn what_has_become_a_link_out_is_not_opened() {
    let folder = Folder::new("beneath-link");
    let Some(root) = root(&folder) else { return };
    let www = folder.0.join("www");
    fs::create_dir(&www).expect("a directory");
    fs::write(folder.0.join("secret"), "secret").expect("a file");
    symlink("../secret", www.join("relative")).expect("a link");
    symlink(folder.0.join("secret"), www.join("absolute")).expect("a link");
    symlink("/proc/self/cwd", www.join("magic")).expect("a link");
    let beneath = ResolveFlags::BENEATH;
    let from = open(&root, Path::new("www"), FileType::Directory, beneath).expect("it is there");
    for name in ["relative", "absolute"] {
        let taken = take(&from, Path::new(name), FileType::RegularFile, beneath);
        assert_eq!(taken.err(), Some(Errno::XDEV), "{name}");
        let found = find(&from, &from, Path::new(name), true).expect("it is there");
        assert!(matches!(found, Found::Closed(_)), "{name}: {found:?}");
    }
    assert!(find(&from, &from, Path::new("magic"), true).is_err());
}

/// STATIC-4: a directory that was found stays that directory, whatever its name leads to.
#[test]
fn a_directory_is_held() {
    let folder = Folder::new("beneath-held");
    let Some(root) = root(&folder) else { return };
    let path = folder.0.join("d");
    fs::create_dir(&path).expect("a directory");
    fs::write(path.join("public"), "public").expect("a file");
    fs::create_dir(folder.0.join("outside")).expect("a directory");
    fs::write(folder.0.join("outside/secret"), "secret").expect("a file");
    let found = find(&root, &root, Path::new("d"), true).expect("it is there");
    let Found::Directory(directory) = found else {
        panic!("{found:?}");
    };
    fs::rename(&path, folder.0.join("moved")).expect("it is there");
    symlink("outside", &path).expect("free");
    let entries = directory.entries().expect("it is held");
    let names: Vec<_> = entries.map(|entry| entry.expect("a name").name).collect();
    assert_eq!(names, [b"public"]);
    let Directory::Marked(mark) = &directory else {
        panic!("{directory:?}");
    };
    let found = find(&root, mark, Path::new("public"), true).expect("it is held");
    let Found::File(mut file, _) = found else {
        panic!("{found:?}");
    };
    let mut content = String::new();
    file.read_to_string(&mut content).expect("text");
    assert_eq!(content, "public");
}
