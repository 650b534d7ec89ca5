//! A bundle of which one byte is another, or whose end is missing: always reported, by name, and nothing has changed.
//!
//! A byte may carry nothing: libzstd's encoding has a few bits that no decoder looks at. Then, and only then, a change
//! is no error, and what any zstd decoder reads is the same to the last byte. The tests print which these are.
#![cfg(all(feature = "operator", feature = "installer"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../common/anatomy.rs"]
mod anatomy;
#[path = "../common/mod.rs"]
mod common;
mod specimen;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use carrack::apply::ApplyError;
use carrack::bundle::BundleError;
use carrack::progress::Progress;
use carrack::trust;

use anatomy::{Part, Stretch, anatomy};
use common::Sandbox;
use specimen::{Images, Noise, Snapshot, build, install, snapshot};

const RANDOM_BYTES: usize = 2_000;
const CUTS: usize = 200;

/// Held by each test: a process that is started shares, for a moment, what this one has locked.
static ALONE: Mutex<()> = Mutex::new(());

/// A bundle with its anatomy, and the one that was installed before it.
struct Specimen {
    _alone: MutexGuard<'static, ()>,
    sandbox: Sandbox,
    before: PathBuf,
    whole: Vec<u8>,
    stretches: Vec<Stretch>,
}

impl Specimen {
    fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let sandbox = Sandbox::new();
        let before = build(&sandbox, "1.0.0");
        let whole = fs::read(build(&sandbox, "1.1.0")).unwrap();
        let stretches = anatomy(&whole);
        Self { _alone: alone, sandbox, before, whole, stretches }
    }

    /// Words of which a message about damage to byte `at` has one.
    fn culprits(&self, at: usize) -> Vec<&str> {
        match &self.stretches.iter().find(|stretch| stretch.range.contains(&at)).unwrap().part {
            Part::Header => vec!["header"],
            Part::Data(name) => vec![name.strip_prefix("blobs/sha256/").unwrap_or(name), "layout"],
            // Where the table and the archive disagree, nobody can tell which of them is wrong.
            Part::SeekTable => vec!["seek table", "header", "frame"],
        }
    }

    /// Bytes that frame: all of tar headers, seek table and index, and the headers of frames and blocks everywhere.
    fn structural(&self) -> Vec<usize> {
        let ranges = |stretch: &Stretch| -> Vec<Range<usize>> {
            match &stretch.part {
                Part::Data(name) if name != "index.json" => stretch.framing.clone(),
                _ => vec![stretch.range.clone()],
            }
        };
        self.stretches.iter().flat_map(ranges).flatten().collect()
    }
}

/// A copy of a bundle to be damaged, and a folder that an earlier version is installed in.
struct Victim<'a> {
    specimen: &'a Specimen,
    folder: tempfile::TempDir,
    file: File,
    before: Snapshot,
}

impl<'a> Victim<'a> {
    fn new(specimen: &'a Specimen) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle");
        fs::write(&path, &specimen.whole).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let mut this = Self { specimen, folder, file, before: Snapshot::new() };
        this.renew();
        this
    }

    fn bundle(&self) -> PathBuf {
        self.folder.path().join("bundle")
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Installs the earlier version into an empty root.
    fn renew(&mut self) {
        let _ = fs::remove_dir_all(self.root());
        fs::create_dir(self.root()).unwrap();
        install(&trust::establish(&self.specimen.before).unwrap(), &self.root(), Images::Folder).unwrap();
        self.before = snapshot(&self.root());
        assert!(self.before.len() > 10, "files, a manifest, an archive, a receipt: {:?}", self.before.keys());
    }

    /// Runs `examine` while byte `at` is another.
    fn with_flipped<T>(&mut self, at: usize, bit: u32, examine: impl FnOnce(&mut Self) -> T) -> T {
        let byte = self.specimen.whole[at];
        self.file.write_all_at(&[byte ^ 1 << bit], at as u64).unwrap();
        let result = examine(self);
        self.file.write_all_at(&[byte], at as u64).unwrap();
        result
    }

    /// Runs `examine` while the file has `length` bytes.
    fn with_cut<T>(&mut self, length: usize, examine: impl FnOnce(&mut Self) -> T) -> T {
        self.file.set_len(length as u64).unwrap();
        let result = examine(self);
        self.file.write_all_at(&self.specimen.whole, 0).unwrap();
        result
    }

    /// What verify and apply say, each in a line; nothing where both are content.
    fn verdicts(&mut self, images: Images) -> Vec<String> {
        // The first step of both.
        let trusted = match trust::establish(&self.bundle()) {
            Ok(trusted) => trusted,
            Err(error) => return vec![self.describe(&error)],
        };
        let verified = trusted.verify(1, &Progress::default());
        match install(&trusted, &self.root(), images) {
            Ok(_) => {
                assert!(verified.is_empty(), "applied, though verify says: {verified:?}");
                self.renew();
                Vec::new()
            }
            Err(ApplyError::Blob { digest, source, .. }) => {
                assert_eq!(source.kind(), std::io::ErrorKind::InvalidData, "{source}");
                assert!(!verified.is_empty(), "verify says nothing, apply {digest}: {source}");
                self.assert_unchanged();
                let applied = format!("cannot read blob {digest} of the bundle: {source}");
                verified.iter().map(|error| self.describe(error)).chain([applied]).collect()
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn describe(&self, error: &BundleError) -> String {
        let damage =
            matches!(error, BundleError::NotABundle { .. } | BundleError::Damaged { .. } | BundleError::Newer { .. });
        let text = error.to_string();
        assert!(damage && text.contains(&*self.bundle().to_string_lossy()), "{text}");
        text
    }

    fn assert_unchanged(&self) {
        let after = snapshot(&self.root());
        assert!(after == self.before, "{:?} and before {:?}", after.keys(), self.before.keys());
    }
}

/// Flips a bit in each of `places`, and returns those where that carries nothing.
fn flip_each(specimen: &Specimen, places: &[usize]) -> BTreeSet<usize> {
    let archive = zstd::stream::decode_all(specimen.whole.as_slice()).unwrap();
    let (next, idle) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    let work = || {
        let mut victim = Victim::new(specimen);
        while let Some((number, at)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, *places.get(n)?)))
        {
            let bit = (number * 5 + at) as u32 % 8;
            let images = if number % 2 == 0 { Images::Nowhere } else { Images::Folder };
            let verdicts = victim.with_flipped(at, bit, |victim| victim.verdicts(images));
            if verdicts.is_empty() {
                let mut damaged = specimen.whole.clone();
                damaged[at] ^= 1 << bit;
                assert!(zstd::stream::decode_all(damaged.as_slice()).unwrap() == archive, "byte {at} was missed");
                idle.lock().unwrap().insert(at);
            }
            let culprits = specimen.culprits(at);
            for verdict in verdicts {
                assert!(culprits.iter().any(|word| verdict.contains(word)), "byte {at} is in {culprits:?}: {verdict}");
            }
        }
        victim.assert_unchanged();
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    idle.into_inner().unwrap()
}

#[test]
fn every_changed_byte_is_found() {
    let specimen = Specimen::new();
    let mut noise = Noise::new(8);
    let mut places: Vec<usize> = (0..RANDOM_BYTES).map(|_| noise.below(specimen.whole.len())).collect();
    let structural = specimen.structural();
    assert!(structural.len() > 5_000, "{}", structural.len());
    places.extend(structural);
    let idle = flip_each(&specimen, &places);
    println!("of {} changed bytes of {}, these carry nothing: {idle:?}", places.len(), specimen.whole.len());
    assert!(idle.len() < 10, "{idle:?}");
}

#[test]
fn a_cut_file_is_never_a_bundle() {
    let specimen = Specimen::new();
    let (whole, mut noise, mut victim) = (specimen.whole.len(), Noise::new(9), Victim::new(&specimen));
    let ends = [0, 1, 8, 9, 16, 17, whole - 9, whole - 1];
    for length in ends.into_iter().chain((ends.len()..CUTS).map(|_| noise.below(whole))) {
        let verdicts = victim.with_cut(length, |victim| victim.verdicts(Images::Folder));
        assert_eq!(verdicts.len(), 1, "cut to {length}");
        assert!(verdicts[0].contains("is not a complete Carrack bundle"), "cut to {length}: {}", verdicts[0]);
    }
}

/// The same through both binaries, for a sample of each kind of place.
#[test]
fn the_commands_name_what_is_damaged_and_exit_with_30() {
    let specimen = Specimen::new();
    let (mut victim, mut noise) = (Victim::new(&specimen), Noise::new(10));
    let mut examined = 0;
    for stretch in &specimen.stretches {
        // Of an encoding, a header or the checksum: between them may be a bit that carries nothing.
        let framing: Vec<usize> = stretch.framing.iter().cloned().flatten().collect();
        let at = match stretch.part {
            Part::Data(_) => framing[noise.below(framing.len())],
            Part::Header | Part::SeekTable => stretch.range.start + noise.below(stretch.range.len()),
        };
        let culprits = specimen.culprits(at);
        victim.with_flipped(at, 2, |victim| refused_by_both(&specimen.sandbox, victim, &culprits));
        examined += 1;
    }
    for part in 0..8 {
        let length = specimen.whole.len() * part / 8;
        victim
            .with_cut(length, |victim| refused_by_both(&specimen.sandbox, victim, &["not a complete Carrack bundle"]));
        examined += 1;
    }
    assert!(examined > 30, "{examined}");
}

fn refused_by_both(sandbox: &Sandbox, victim: &Victim<'_>, culprits: &[&str]) {
    let installer = Path::new(env!("CARGO_BIN_EXE_carrack-install"));
    let (bundle, root) = (victim.bundle().display().to_string(), victim.root().display().to_string());
    let apply = |runtime| sandbox.run(installer, &["apply", &bundle, "--root", &root, "--runtime", runtime, "--yes"]);
    for ran in [sandbox.carrack(&["verify", &bundle]), apply("none"), apply("k3s")] {
        assert_eq!((ran.code, ran.stdout.as_str()), (30, ""), "{}", ran.stderr);
        assert!(ran.stderr.starts_with("error: ") || ran.stderr.contains("\nerror: "), "{}", ran.stderr);
        assert!(culprits.iter().any(|word| ran.stderr.contains(word)), "{culprits:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    }
    victim.assert_unchanged();
}
