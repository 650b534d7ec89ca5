//! Changes that are broken off at every step, and gone on with from the journal alone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use super::*;
use crate::apply::claims::Claim;
use crate::apply::receipt::Receipt;
use crate::apply::{Left, prepared, resume, unfinished};
use crate::io::{AtomicFile, Place};

/// Every path below a folder, with what is there.
fn tree(root: &Path) -> BTreeMap<String, String> {
    fn add(folder: &Path, root: &Path, tree: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let found = path.symlink_metadata().unwrap();
            let what = if found.is_symlink() {
                format!("to {}", path.read_link().unwrap().display())
            } else if found.is_dir() {
                add(&path, root, tree);
                "folder".to_owned()
            } else {
                format!("{:o} {}", found.mode(), fs::read_to_string(&path).unwrap())
            };
            tree.insert(path.strip_prefix(root).unwrap().display().to_string(), what);
        }
    }
    let mut all = BTreeMap::new();
    add(root, root, &mut all);
    all
}

fn receipt() -> Receipt {
    Receipt::empty("shop", "1.1.0")
}

/// A host with files, and a change of them that is all staged.
fn host() -> (tempfile::TempDir, Root, Record) {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path()).unwrap();
    let at = |path: &str| folder.path().join(path);
    fs::create_dir_all(at("etc/new/inner")).unwrap();
    fs::write(at("etc/replaced"), "old").unwrap();
    fs::write(at("etc/removed"), "gone").unwrap();
    symlink("replaced", at("etc/link")).unwrap();
    let mut record = Record::new("apply shop 1.1.0".to_owned(), Invocation::default());
    for path in ["etc/replaced", "etc/new/inner/created", "etc/link"] {
        let target = at(path);
        let name = format!("{}.carrack-new", target.file_name().unwrap().to_str().unwrap());
        fs::write(target.with_file_name(&name), format!("new {path}")).unwrap();
        let inode = target.with_file_name(&name).metadata().unwrap().ino();
        let before = Before::at(&Place::of(&target).unwrap()).unwrap();
        let staged = Some(Staged { name, inode });
        record.files.push(Change { path: format!("/{path}"), staged, before, restores: None });
    }
    let before = Before::at(&Place::of(&at("etc/removed")).unwrap()).unwrap();
    record.files.push(Change { path: "/etc/removed".to_owned(), staged: None, before, restores: None });
    record.made = vec!["/etc/new".to_owned(), "/etc/new/inner".to_owned()];
    let kept = vec![Digest::of(b"old"), Digest::of(b"gone")];
    let file = "0002-shop-1.1.0.json".to_owned();
    record.result = Some(Outcome::Installed { file, receipt: Box::new(receipt()), kept });
    (folder, root, record)
}

/// The host where nothing was ever begun.
fn untouched() -> BTreeMap<String, String> {
    let (folder, root, record) = host();
    assert_eq!(switch::unstage(&record.files, &record.made, &root), Vec::<String>::new());
    tree(folder.path())
}

/// The journal as a run leaves it that is killed in this phase.
fn killed_in(phase: Phase, root: &Root, mut record: Record) {
    record.own = Journal::missing_folders(root).unwrap();
    Journal::begin(root, &record).unwrap().advance(phase).unwrap();
}

async fn resumed(root: &Root) -> Result<Done, ApplyError> {
    let transaction = Transaction::left(root).unwrap().expect("a journal");
    transaction.carry_out(None, &Interrupt::never()).await
}

#[tokio::test]
async fn killed_between_any_two_files_it_goes_on() {
    let whole = {
        let (folder, root, record) = host();
        killed_in(Phase::Naming, &root, record);
        resumed(&root).await.unwrap();
        tree(folder.path())
    };
    assert_eq!(whole["etc/replaced"], "100644 new etc/replaced");
    assert_eq!(whole["etc/new/inner/created"], "100644 new etc/new/inner/created");
    assert!(!whole.contains_key("etc/removed") && !whole.contains_key("var/lib/carrack/journal"), "{whole:?}");
    let kept = |content: &[u8]| whole.contains_key(&format!("var/lib/carrack/kept/{}", Digest::of(content).hex()));
    assert!(kept(b"old") && kept(b"gone"));
    assert!(whole.contains_key("var/lib/carrack/receipts/0002-shop-1.1.0.json"));
    for done in 0..=4 {
        let (folder, root, record) = host();
        switch::forward(&record.files[..done], &root).unwrap();
        // The next one has its second name, and not its new one yet.
        if let Some(Change { path, before: Some(_), staged: Some(_), .. }) = record.files.get(done) {
            let target = root.place(path).unwrap();
            target.hard_link(&backup_of(&target).unwrap()).unwrap();
        }
        killed_in(Phase::Changing, &root, record);
        resumed(&root).await.unwrap();
        assert_eq!(tree(folder.path()), whole, "{done}");
    }
    // When it is done: whatever has been let go of by then.
    for gone in 0..=4 {
        let (folder, root, record) = host();
        switch::forward(&record.files, &root).unwrap();
        receipt::write_as(&root, "0002-shop-1.1.0.json", &receipt()).unwrap();
        let kept = Kept::of(&root).unwrap();
        switch::finish(&record.files[..gone], &root, &kept, |before| before.digest.is_some()).unwrap();
        killed_in(Phase::Finishing, &root, record);
        assert!(resumed(&root).await.unwrap().finished);
        assert_eq!(tree(folder.path()), whole, "{gone}");
    }
    // After all files: before the receipt, and after it.
    for written in [false, true] {
        let (folder, root, record) = host();
        switch::forward(&record.files, &root).unwrap();
        if written {
            receipt::write_as(&root, "0002-shop-1.1.0.json", &receipt()).unwrap();
        }
        killed_in(Phase::Starting, &root, record);
        resumed(&root).await.unwrap();
        assert_eq!(tree(folder.path()), whole, "{written}");
    }
}

#[tokio::test]
async fn killed_between_any_two_files_it_goes_back() {
    let before = untouched();
    for (forward, back) in (0..=4).flat_map(|forward| (0..=4).map(move |back| (forward, back))) {
        for phase in [Phase::Restoring, Phase::Undoing] {
            let (folder, root, record) = host();
            switch::forward(&record.files[..forward], &root).unwrap();
            // The last ones are put back first.
            assert_eq!(switch::back(&record.files[back..], &[], &root), Vec::<String>::new());
            killed_in(phase, &root, record);
            let error = resumed(&root).await.unwrap_err();
            assert!(matches!(error, ApplyError::RolledBack { .. }), "{error}");
            assert_eq!(tree(folder.path()), before, "{forward} {back}");
        }
    }
    // With a receipt that was written before starting failed after all.
    let (folder, root, record) = host();
    switch::forward(&record.files, &root).unwrap();
    receipt::write_as(&root, "0002-shop-1.1.0.json", &receipt()).unwrap();
    killed_in(Phase::Undoing, &root, record);
    assert!(matches!(resumed(&root).await.unwrap_err(), ApplyError::RolledBack { .. }));
    let mut left = tree(folder.path());
    left.retain(|path, _| !path.starts_with("var"));
    assert_eq!(left, before);
    assert!(receipt::is_none_left(&root).unwrap());
}

#[tokio::test]
async fn a_file_that_cannot_be_put_puts_all_back() {
    let before = untouched();
    let (folder, root, record) = host();
    // Somebody has taken what was staged for the last one.
    fs::remove_file(folder.path().join("etc/link.carrack-new")).unwrap();
    killed_in(Phase::Naming, &root, record);
    let error = resumed(&root).await.unwrap_err();
    assert!(matches!(error, ApplyError::RolledBack { .. }), "{error}");
    assert_eq!(tree(folder.path()), before);
}

#[tokio::test]
async fn what_cannot_be_put_back_stays_in_the_journal() {
    let (folder, root, record) = host();
    switch::forward(&record.files, &root).unwrap();
    fs::remove_file(folder.path().join("etc/replaced.carrack-old")).unwrap();
    killed_in(Phase::Restoring, &root, record);
    let error = resumed(&root).await.unwrap_err();
    let ApplyError::NeedsPerson { left, .. } = &error else { panic!("{error}") };
    assert!(left.len() == 1 && left[0].contains("etc/replaced"), "{left:?}");
    // The person puts it there, and the next run ends it; what it cannot know is not claimed.
    fs::write(folder.path().join("etc/replaced.carrack-old"), "old").unwrap();
    let error = resumed(&root).await.unwrap_err();
    let ApplyError::NeedsPerson { left, .. } = &error else { panic!("{error}") };
    assert_eq!(left, &["/etc/replaced is not what it was: modification time"]);
    assert_eq!(tree(folder.path()), untouched());
    assert!(Transaction::left(&root).unwrap().is_none());
}

/// Where there are no hard links, the second name is a copy, which may be broken off.
#[tokio::test]
async fn half_a_copy_of_the_old_file_does_not_take_its_place() {
    let before = untouched();
    let (folder, root, record) = host();
    fs::write(folder.path().join("etc/replaced.carrack-old"), "ol").unwrap();
    fs::write(folder.path().join("etc/removed.carrack-old"), "somebody's").unwrap();
    killed_in(Phase::Restoring, &root, record);
    assert!(matches!(resumed(&root).await.unwrap_err(), ApplyError::RolledBack { .. }));
    let mut left = tree(folder.path());
    assert_eq!(left.remove("etc/removed.carrack-old").as_deref(), Some("100644 somebody's"));
    assert_eq!(left, before);
}

/// What could not be kept stays beside, and is kept by the next run.
#[tokio::test]
async fn what_could_not_be_kept_is_not_lost() {
    let (folder, root, record) = host();
    fs::create_dir_all(folder.path().join("var/lib/carrack")).unwrap();
    fs::write(folder.path().join("var/lib/carrack/kept"), "in the way").unwrap();
    killed_in(Phase::Naming, &root, record);
    let done = resumed(&root).await.unwrap();
    assert!(!done.finished && !done.warnings.is_empty(), "{done:?}");
    assert_eq!(fs::read_to_string(folder.path().join("etc/replaced.carrack-old")).unwrap(), "old");
    let again = Transaction::begin(&root, Record::new("apply shop 1.2.0".to_owned(), Invocation::default()));
    assert!(matches!(again, Err(ApplyError::NotFinished(_))));
    fs::remove_file(folder.path().join("var/lib/carrack/kept")).unwrap();
    assert!(resumed(&root).await.unwrap().finished);
    assert!(folder.path().join("var/lib/carrack/kept").join(Digest::of(b"old").hex()).exists());
}

/// The journal has gone, or had yet to come, and what goes on with it is there.
/// What the journal says is ours goes before it: killed between the two, nobody would know it.
#[tokio::test]
async fn empty_folders_go_before_the_journal() {
    let (folder, root, mut record) = host();
    let journal = folder.path().join("var/lib/carrack/journal");
    fs::create_dir_all(folder.path().join("srv/ours")).unwrap();
    record.emptied = vec!["/srv/ours".to_owned(), "/srv".to_owned()];
    killed_in(Phase::Finishing, &root, record);
    // It cannot be ended: a folder is where it removes a file.
    let other = Place::of(&journal.join(Phase::Starting.file())).unwrap();
    fs::create_dir(AtomicFile::provisional(&other).unwrap().shown()).unwrap();
    let done = resumed(&root).await.unwrap();
    assert!(!done.finished, "{done:?}");
    assert!(!folder.path().join("srv").exists());
}

#[test]
fn a_guard_without_a_journal_goes() {
    let (folder, root, _) = host();
    let before = tree(folder.path());
    guard::place(&root, &["shop.service".to_owned()]).unwrap();
    fs::create_dir_all(folder.path().join("var/lib/carrack/journal")).unwrap();
    Transaction::tidy(&root).unwrap();
    let mut left = tree(folder.path());
    // They may have been there before.
    left.retain(|path, what| what != "folder" || before.contains_key(path));
    assert_eq!(left, before);
    assert!(!folder.path().join("var/lib/carrack").exists());

    receipt::write_as(&root, "0001-shop-1.0.0.json", &receipt()).unwrap();
    guard::place(&root, &[]).unwrap();
    Transaction::tidy(&root).unwrap();
    assert!(folder.path().join("var/lib/carrack/bin/carrack-install").exists());
    assert!(!guard::is_there(&root).unwrap());
}

/// What goes on with a journal stays as long as that does.
#[test]
fn a_guard_with_a_journal_stays() {
    let (_folder, root, record) = host();
    guard::place(&root, &["shop.service".to_owned()]).unwrap();
    killed_in(Phase::Naming, &root, record);
    Transaction::tidy(&root).unwrap();
    assert!(guard::is_there(&root).unwrap());
    assert_eq!(guard::guarded(&root).unwrap(), ["shop.service"]);
}

#[tokio::test]
async fn what_was_only_prepared_is_cleared() {
    let (folder, root, record) = host();
    killed_in(Phase::Preparing, &root, record);
    assert_eq!(Transaction::left(&root).unwrap().unwrap().discard(), Vec::<String>::new());
    assert_eq!(tree(folder.path()), untouched());
}

#[test]
fn a_journal_of_a_later_installer_is_not_touched() {
    let (folder, root, mut record) = host();
    record.journal_version = 99;
    killed_in(Phase::Changing, &root, record);
    assert!(matches!(Transaction::left(&root), Err(ApplyError::LaterJournal(_))));
    let path = folder.path().join("var/lib/carrack/journal/changing.json");
    fs::write(&path, "{").unwrap();
    assert!(matches!(Transaction::left(&root), Err(ApplyError::Journal { .. })));
    assert!(path.exists());
}

/// What starts nothing passes that phase all the same, and may be killed in it.
#[tokio::test]
async fn a_system_with_nothing_to_start_waits_for_no_start() {
    for start in [Vec::new(), vec![Step::Enabled { unit: "shop.service".to_owned(), enabled: true }]] {
        let (_folder, root, mut record) = host();
        switch::forward(&record.files, &root).unwrap();
        record.start = start.clone();
        killed_in(Phase::Starting, &root, record);
        let waits = !start.is_empty();
        assert_eq!(prepared(&root).unwrap().is_some(), waits);
        assert_eq!(unfinished(&root).unwrap().is_some(), !waits);
        let left = resume(&root, true, &Interrupt::never(), &Arc::default()).await.unwrap();
        assert!(matches!((left, waits), (Left::Finished { .. }, false) | (Left::Deferred { .. }, true)));
    }
}

/// What a cluster had made is gone then, and half of it would not run.
#[tokio::test]
async fn what_has_begun_to_remove_a_cluster_goes_only_forward() {
    for phase in [Phase::Stopping, Phase::Removing, Phase::Changing] {
        let (folder, root, mut record) = host();
        let staged = folder.path().join("etc/link.carrack-new");
        let inode = staged.metadata().unwrap().ino();
        fs::rename(&staged, folder.path().join("taken")).unwrap();
        record.remove = vec![Step::Remove { path: "/var/lib/rancher".to_owned() }];
        killed_in(phase, &root, record);
        let error = resumed(&root).await.unwrap_err();
        let ApplyError::NeedsPerson { left, .. } = &error else { panic!("{error}") };
        assert!(left[0].contains("does not come back"), "{left:?}");
        assert_eq!(fs::read_to_string(folder.path().join("etc/replaced")).unwrap(), "new etc/replaced");
        // A person puts it right, and the next run ends it.
        fs::rename(folder.path().join("taken"), &staged).unwrap();
        assert_eq!(staged.metadata().unwrap().ino(), inode);
        assert!(resumed(&root).await.unwrap().finished);
    }
}

#[test]
fn what_the_host_has_started_with_its_files_is_not_started_again() {
    let start = |restart| Step::Start { unit: "shop.service".to_owned(), restart };
    let running = Root::new(Path::new("/")).unwrap();
    let (_folder, root, mut record) = host();
    record.start = vec![start(true)];
    let journal = Journal::begin(&root, &record).unwrap();
    let mut transaction = Transaction {
        root: running,
        journal,
        record,
        progress: Arc::default(),
        stays: Vec::new(),
        warnings: Vec::new(),
    };
    assert_eq!(transaction.to_start(), [start(true)], "files have yet to come into their places");
    transaction.record.boot = transaction.boot();
    assert!(transaction.record.boot.is_some());
    assert_eq!(transaction.to_start(), [start(true)], "it may run with the files of before");
    transaction.record.boot = Some("the time before".to_owned());
    assert_eq!(transaction.to_start(), [start(false)]);
    let load = Step::Load { what: "trust".to_owned(), command: Vec::new(), seconds: 1 };
    transaction.record.start = vec![start(true), load.clone(), start(true)];
    assert_eq!(transaction.to_start(), [start(false), load, start(true)], "it has to read what was made since");
}

/// What a journal may say that nobody of Carrack's has written.
fn hostile(victim: &Path) -> Vec<String> {
    let victim = victim.display().to_string();
    let up = "../".repeat(40);
    let mut values = vec![
        victim.clone(),
        format!("{up}{}", victim.trim_start_matches('/')),
        format!("/etc/../{up}{}", victim.trim_start_matches('/')),
        "../../victim/file".to_owned(),
        "/".to_owned(),
    ];
    values.extend(["", ".", "..", "a/b", "a\0b", "a\nb", "-rf"].map(str::to_owned));
    values.push("a".repeat(300));
    values
}

/// Every string of a document, as a JSON pointer.
fn strings(value: &serde_json::Value, at: &str, all: &mut Vec<String>) {
    match value {
        serde_json::Value::String(_) => all.push(at.to_owned()),
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| strings(item, &format!("{at}/{index}"), all));
        }
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(name, item)| strings(item, &format!("{at}/{name}"), all));
        }
        _ => {}
    }
}

/// A record that has something in every field that has a name or a path.
fn full(mut record: Record) -> Record {
    let path = || "/etc/new".to_owned();
    let unit = || "shop.service".to_owned();
    record.emptied = vec![path()];
    record.own = vec![path()];
    record.discarded = vec!["/var/lib/carrack/states/0001".to_owned()];
    record.guarded = vec![unit()];
    let copy = Step::Copy { from: path(), to: "@SAVED@/etcd".to_owned(), unless: Some(path()), over: false };
    let claim = Claim {
        real: Some(path()),
        folders: vec!["inner/empty".to_owned()],
        mounts: vec!["inner".to_owned()],
        ..Claim::new("/etc/new", claims::Prior::Empty)
    };
    record.claims = vec![claim];
    record.again = vec![
        Step::Folder { path: path() },
        Step::Sweep {
            unit: Some(unit()),
            data: Some(path()),
            state: Some(path()),
            kubelet: path(),
            interfaces: vec!["cni0".to_owned()],
        },
    ];
    record.stop = vec![Step::Stop { unit: unit() }, copy.clone(), Step::Remove { path: "/etc/new/inner".to_owned() }];
    if let Some(Outcome::Installed { receipt, .. }) = &mut record.result {
        receipt.folders = vec![path()];
        receipt.claims.clone_from(&record.claims);
        receipt.start = vec![Step::Start { unit: unit(), restart: false }];
        receipt.saved = Some(crate::apply::receipt::SavedState {
            folder: "/var/lib/carrack/states/0001".to_owned(),
            made: String::new(),
            restore: vec![copy],
        });
    }
    record
}

#[tokio::test]
async fn whatever_a_journal_says_nothing_outside_of_the_root_changes() {
    let document = |record: &Record| serde_json::to_value(record).unwrap();
    let mut refused = BTreeMap::new();
    let pointers = {
        let (_folder, _root, record) = host();
        let mut all = Vec::new();
        strings(&document(&full(record)), "", &mut all);
        all
    };
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim/file");
    fs::create_dir(outside.path().join("victim")).unwrap();
    fs::write(&victim, "precious").unwrap();
    fs::create_dir(outside.path().join("victim/empty")).unwrap();
    let before = tree(outside.path());
    let values = hostile(&victim);
    for (pointer, value) in pointers.iter().flat_map(|pointer| values.iter().map(move |value| (pointer, value))) {
        // Only what leads somewhere else could do harm in every phase.
        let phases = [Phase::Changing, Phase::Preparing, Phase::Finishing, Phase::Restoring];
        for phase in phases.into_iter().take(if value.contains("victim") { 4 } else { 1 }) {
            let (folder, root, record) = host();
            let mut changed = document(&full(record));
            *changed.pointer_mut(pointer).unwrap() = value.clone().into();
            let journal = folder.path().join("var/lib/carrack/journal");
            fs::create_dir_all(&journal).unwrap();
            fs::write(journal.join(phase.file()), serde_json::to_vec(&changed).unwrap()).unwrap();
            let result = resume(&root, true, &Interrupt::never(), &Arc::default()).await;
            assert_eq!(tree(outside.path()), before, "{pointer} {value:?}");
            if let Err(ApplyError::Foreign { field, .. }) = result {
                refused.insert(pointer.clone(), field);
            }
        }
    }
    // Everything that is used as a name or a path is checked, and named as it is in the file.
    let is_name = |pointer: &&String| {
        ["path", "name", "unit", "from", "to", "folder", "file", "real", "data", "kubelet"]
            .iter()
            .any(|word| pointer.ends_with(&format!("/{word}")))
            || ["/made/", "/own/", "/emptied/", "/discarded/", "/guarded/", "/folders/", "/mounts/", "/interfaces/"]
                .iter()
                .any(|list| pointer.contains(list))
    };
    let names: Vec<&String> = pointers.iter().filter(is_name).collect();
    assert!(names.len() > 20, "{names:?}");
    for pointer in names.into_iter().filter(|pointer| *pointer != "/command/folder") {
        let field = refused.get(pointer).unwrap_or_else(|| panic!("{pointer} is not checked"));
        let words: String = pointer.trim_start_matches('/').replace('/', ".");
        let flat: String = field.replace('[', ".").replace(']', "");
        assert_eq!(flat, words);
    }
}

#[test]
fn whatever_a_receipt_says_it_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path()).unwrap();
    let (_host, _root, record) = host();
    let Some(Outcome::Installed { receipt, .. }) = full(record).result else { panic!("no receipt") };
    let path = receipt::write_as(&root, "0001-shop-1.1.0.json", &receipt).unwrap();
    receipt::all(&root).unwrap();
    for (field, pointer) in [
        ("folders[0]", "/folders/0"),
        ("start[0].unit", "/start/0/unit"),
        ("saved.folder", "/saved/folder"),
        ("name", "/name"),
    ] {
        for value in hostile(Path::new("/victim/file"))
            .into_iter()
            .filter(|value| pointer != "/folders/0" || !value.starts_with("/vi"))
        {
            // A unit and a profile may be called so.
            if value == "-rf" && pointer == "/name" {
                continue;
            }
            let mut document = serde_json::to_value(&receipt).unwrap();
            *document.pointer_mut(pointer).unwrap() = value.clone().into();
            fs::write(&path, serde_json::to_vec(&document).unwrap()).unwrap();
            let error = receipt::all(&root).unwrap_err();
            assert!(
                matches!(&error, ApplyError::Foreign { field: found, .. } if found == field),
                "{value:?}: {error:?}"
            );
        }
    }
}

#[test]
fn the_first_start_of_a_prepared_system_looks_at_its_folders_again_and_writes_that_down() {
    let (folder, root, mut record) = host();
    let claim = |path: &str| Claim { prepared: true, ..Claim::new(path, claims::Prior::Absent) };
    record.claims = vec![claim("/var/lib/etcd"), claim("/var/lib/kubelet")];
    let Some(Outcome::Installed { receipt, .. }) = &mut record.result else { panic!("no receipt") };
    receipt.claims.clone_from(&record.claims);
    killed_in(Phase::Starting, &root, record);
    fs::create_dir_all(folder.path().join("var/lib/etcd")).unwrap();
    fs::write(folder.path().join("var/lib/etcd/precious"), "ten years").unwrap();
    Transaction::left(&root).unwrap().unwrap().look_again().unwrap();
    let left = Transaction::left(&root).unwrap().unwrap();
    assert_eq!(left.phase(), Phase::Starting);
    let Some(Outcome::Installed { receipt, .. }) = &left.record.result else { panic!("no receipt") };
    for claims in [&left.record.claims, &receipt.claims] {
        assert!(claims[0].keeps().unwrap().contains("with content"), "{claims:?}");
        assert_eq!(claims[1], Claim::new("/var/lib/kubelet", claims::Prior::Absent));
    }
}
