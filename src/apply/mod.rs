//! What changes on this host, and changing it: host plan, content, files, receipt.
//!
//! ```text
//! survey ─► plan ─► one pass over the bundle ─► unpack ─► names ─► files ─► receipt
//!  (look)   (pure)  (content under a lease,      (same     ╰── taken back together ──╯
//!                    files beside their targets)  lease)        when one fails
//! ```
//!
//! Up to the names nothing on the host has changed: a damaged bundle, a full disk or an interrupt leaves no trace. It must
//! not know where a bundle's bytes lie or why they are trusted.

mod adopt;
mod archive;
mod attempts;
mod before;
pub mod by_hand;
mod check;
mod choices;
mod claims;
mod cluster;
pub mod configuration;
mod conflicts;
mod constraints;
pub mod containerd;
pub mod difference;
mod dropped;
mod error;
mod feed;
pub mod files;
mod folders;
mod foreign;
mod history;
mod image_folder;
mod images_only;
pub mod installed;
mod interrupt;
mod leftovers;
pub mod lock;
mod machine;
mod missing;
mod pause;
pub mod plan;
pub mod preflight;
pub mod receipt;
mod record;
mod registries;
mod released;
mod resume;
mod revert;
mod rules;
mod run;
mod runtime_config;
mod services;
mod settle;
mod site;
mod source;
mod staging;
mod states;
pub mod status;
mod survey;
mod sweep;
mod targets;
mod task;
mod transaction;
mod tree;
mod unfinished;
mod unkept;
mod upgrade;
mod verified;
mod workloads;

pub use self::{
    choices::Choices,
    claims::{Claim, Prior},
    error::ApplyError,
    image_folder::ImageFolder,
    interrupt::{Interrupt, Interrupter},
    leftovers::{Leftover, take_up},
    lock::RootLock,
    resume::{Left, give_up, is_left, prepared, resume, tidy},
    revert::{Goal, Restored, Revert, look as look_back},
    run::{Options, Outcome, apply, prepare_again},
    site::{KeptSecret, Memory, ReceiptSite, SiteChange, addressed},
    source::{BlobReader, Source},
    survey::{Asked, Survey, Target, TargetRuntime, survey},
    targets::{Inputs, targets},
    transaction::{Invocation, StepError, UnitLog},
    tree::CopyError,
    unfinished::{Unfinished, unfinished},
    verified::Verified,
};
