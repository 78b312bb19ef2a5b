//! Files that become something else after the look-up.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::http::static_files::root::tests::Folder;

/// STATIC-9: what a name becomes after the look-up is never opened. A FIFO would wait for a
/// writer for ever.
#[test]
fn what_a_name_becomes_is_not_opened() {
    let folder = Folder::new("resolved-becomes");
    let path = folder.0.join("a");
    type Make = fn(&Path);

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
        fs::write(&path, "it").expect("a file");
        let resolved = Resolved::look_up(&path).expect("it is there");
        assert!(resolved.open().is_ok());
        // The inode of the first file must not be free for the second.
        fs::rename(&path, folder.0.join("kept")).expect("it is there");
        make(&path);
        let (said, heard) = mpsc::channel();
        thread::spawn(move || said.send(resolved.open().map(drop).map_err(|e| e.kind())));
        let opened = heard.recv_timeout(Duration::from_secs(20));
        let opened = opened.expect("opening does not wait");
        assert_eq!(opened, Err(ErrorKind::NotFound), "{what}");
        // Whatever it is now.
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
}

/// STATIC-4: a directory that becomes a link after the look-up shows nothing from outside.
#[test]
fn what_a_directory_becomes_is_not_listed() {
    let folder = Folder::new("resolved-link");
    fs::create_dir_all(folder.0.join("outside/secret")).expect("a directory");
    let path = folder.0.join("d");
    fs::create_dir_all(path.join("public")).expect("a directory");
    let found = find(&folder.0, &folder.0, Path::new("d"), true).expect("it is there");
    let Found::Directory(directory) = found else {
        panic!("{found:?}");
    };
    assert_eq!(directory.entries().expect("it is there").count(), 1);
    fs::rename(&path, folder.0.join("moved")).expect("it is there");
    symlink("outside", &path).expect("free");
    let entries = directory.entries();
    assert!(entries.is_err(), "{entries:?}");
}

/// STATIC-4: where a path ends decides, as on a system with `openat2`.
#[test]
fn what_is_outside_is_not_found() {
    let folder = Folder::new("resolved-outside");
    let root = folder.0.join("www");
    fs::create_dir_all(root.join("d")).expect("a directory");
    fs::write(root.join("a"), "a").expect("a file");
    fs::write(folder.0.join("secret"), "secret").expect("a file");
    symlink("../secret", root.join("out")).expect("a link");
    symlink("..", root.join("out-directory")).expect("a link");
    symlink("../../www/a", root.join("d/out-and-in")).expect("a link");
    symlink("/dev/null", root.join("device")).expect("a link");
    for (path, confined, followed) in [
        ("", "directory", "directory"),
        ("a", "file", "file"),
        ("d", "directory", "directory"),
        ("d/out-and-in", "file", "file"),
        ("out", "closed", "file"),
        ("out-directory", "NotFound", "directory"),
        ("out-directory/secret", "closed", "file"),
        ("device", "NotFound", "NotFound"),
        ("missing", "NotFound", "NotFound"),
    ] {
        let kind = |confined| match find(&root, &root, Path::new(path), confined) {
            Ok(Found::File(..)) => "file".to_owned(),
            Ok(Found::Closed(_)) => "closed".to_owned(),
            Ok(Found::Directory(_)) => "directory".to_owned(),
            Err(error) => format!("{:?}", error.kind()),
        };
        assert_eq!(kind(true), confined, "{path}");
        assert_eq!(kind(false), followed, "{path}, followed");
    }
}

/// STATIC-4: what has become a link is not followed, even if it leads to what was found.
#[test]
fn a_link_is_not_opened() {
    let folder = Folder::new("resolved-links");
    let outside = folder.0.join("outside");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("secret"), "secret").expect("a file");
    let (file, directory) = (folder.0.join("a"), folder.0.join("d"));
    symlink("outside/secret", &file).expect("a link");
    symlink("outside", &directory).expect("a link");
    assert!(open(&file).is_err());
    let metadata = fs::metadata(&directory).expect("it is there");
    assert!(Directory::At(directory, metadata).entries().is_err());
    let metadata = fs::metadata(&outside).expect("it is there");
    assert!(Directory::At(outside, metadata).entries().is_ok());
}
