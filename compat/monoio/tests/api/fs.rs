//! Files.

use crate::call;
use monoio::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};

pub(crate) async fn all() {
    let dir = tempfile::tempdir().unwrap();
    file(&dir.path().join("file")).await;
    names(dir.path()).await;
}

async fn file(path: &std::path::Path) {
    let file: File = call!(fs::File::create)(path).await.unwrap();
    assert_eq!(call!(fs::File::write_at)(&file, "abc", 0).await.0.unwrap(), 3);
    call!(fs::File::write_all_at)(&file, "def", 3).await.0.unwrap();
    call!(fs::File::sync_data)(&file).await.unwrap();
    call!(fs::File::sync_all)(&file).await.unwrap();
    let of_file: Metadata = call!(fs::File::metadata)(&file).await.unwrap();
    call!(fs::File::close)(file).await.unwrap();
    let file = call!(fs::File::open)(path).await.unwrap();
    assert_eq!(call!(fs::File::read_at)(&file, vec![0; 2], 1).await.1, b"bc");
    let (res, buf) = call!(fs::File::read_exact_at)(&file, vec![0; 6], 0).await;
    res.unwrap();
    assert_eq!(buf, b"abcdef");
    call!(fs::File::from_std)(std::fs::File::open(path).unwrap()).unwrap();

    assert_eq!(call!(fs::Metadata::len)(&of_file), 6);
    let is = (call!(fs::Metadata::is_file)(&of_file), call!(fs::Metadata::is_dir)(&of_file));
    assert_eq!((is, call!(fs::Metadata::is_symlink)(&of_file)), ((true, false), false));
    call!(fs::Metadata::modified)(&of_file).unwrap();
    call!(fs::Metadata::accessed)(&of_file).unwrap();
    // Not every file system knows.
    let _ = call!(fs::Metadata::created)(&of_file);
    let kind = call!(fs::Metadata::file_type)(&of_file);
    let is = (call!(fs::FileType::is_file)(&kind), call!(fs::FileType::is_dir)(&kind));
    assert_eq!((is, call!(fs::FileType::is_symlink)(&kind)), ((true, false), false));
    let mut permissions: Permissions = call!(fs::Metadata::permissions)(&of_file);
    call!(fs::Permissions::set_readonly)(&mut permissions, true);
    assert!(call!(fs::Permissions::readonly)(&permissions));

    let mut options: OpenOptions = call!(fs::OpenOptions::new)();
    call!(fs::OpenOptions::read)(&mut options, true);
    call!(fs::OpenOptions::write)(&mut options, true);
    call!(fs::OpenOptions::append)(&mut options, false);
    call!(fs::OpenOptions::truncate)(&mut options, true);
    call!(fs::OpenOptions::create)(&mut options, true);
    call!(fs::OpenOptions::create_new)(&mut options, false);
    let file = call!(fs::OpenOptions::open)(&options, path).await.unwrap();
    assert_eq!(file.metadata().await.unwrap().len(), 0);
}

async fn names(dir: &std::path::Path) {
    let (one, two) = (dir.join("one"), dir.join("two"));
    let (res, contents) = call!(fs::write)(&one, "whole".to_owned().into_bytes()).await;
    res.unwrap();
    assert_eq!(call!(fs::read)(&one).await.unwrap(), contents);
    call!(fs::rename)(&one, &two).await.unwrap();
    call!(fs::symlink)(&two, &one).await.unwrap();
    assert!(call!(fs::metadata)(&one).await.unwrap().is_file());
    assert!(call!(fs::symlink_metadata)(&one).await.unwrap().is_symlink());
    call!(fs::remove_file)(&one).await.unwrap();
    call!(fs::create_dir)(dir.join("a")).await.unwrap();
    call!(fs::create_dir_all)(dir.join("a/b/c")).await.unwrap();
    call!(fs::remove_dir)(dir.join("a/b/c")).await.unwrap();
    let mut builder: DirBuilder = call!(fs::DirBuilder::new)();
    call!(fs::DirBuilder::recursive)(&mut builder, true);
    call!(fs::DirBuilder::create)(&builder, dir.join("d/e")).await.unwrap();
    assert!(dir.join("d/e").is_dir());
}
