//! Image names, set last: what has a name is complete.

use std::collections::HashMap;

use prost_types::FieldMask;
use tonic::Code;

use super::api::images::{CreateImageRequest, DeleteImageRequest, GetImageRequest, Image, UpdateImageRequest};
use super::api::types;
use super::{Client, ContainerdError, NamedImage, Session, WantedImage};
use crate::oci::Descriptor;

/// The CRI plugin knows the image, and the kubelet's garbage collector leaves it alone (containerd 1.7 and later tell the
/// kubelet of the second; older ones ignore it).
const LABELS: [(&str, &str); 2] = [("io.cri-containerd.image", "managed"), ("io.cri-containerd.pinned", "pinned")];

/// What was done to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It did not exist.
    Created,
    /// It stood for another image, or lacked a label.
    Updated,
    /// It was right.
    Kept,
}

/// How to make a name what it was.
#[derive(Debug)]
pub struct NameUndo {
    name: String,
    before: Option<Image>,
}

impl Client {
    /// What a name stands for, where it exists.
    ///
    /// # Errors
    /// A failed call.
    pub async fn named(&self, name: &str) -> Result<Option<NamedImage>, ContainerdError> {
        Ok(self
            .image(name)
            .await?
            .map(|image| NamedImage { managed: has_labels(&image), target: image.target.unwrap_or_default().digest }))
    }

    async fn image(&self, name: &str) -> Result<Option<Image>, ContainerdError> {
        let request = self.request(GetImageRequest { name: name.to_owned() });
        match self.images().get(request).await {
            Ok(answer) => Ok(answer.into_inner().image),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(ContainerdError::call("find the image", name, status)),
        }
    }
}

impl Session {
    /// Makes the image's names stand for its target, and adds to `undo` how each change is taken back. The caller has
    /// seen to it that everything below the target is there.
    ///
    /// # Errors
    /// A failed call; what was changed before it is in `undo`.
    pub async fn set_names(
        &self,
        image: &WantedImage,
        undo: &mut Vec<NameUndo>,
    ) -> Result<Vec<(String, Changed)>, ContainerdError> {
        // Fails where the lease has ended, and what came under it may be gone.
        self.keep_content(&image.target.digest.to_string()).await?;
        let mut changes = Vec::with_capacity(image.names.len());
        for name in &image.names {
            let changed = self.set_name(name, &image.target, undo).await?;
            changes.push((name.clone(), changed));
        }
        Ok(changes)
    }

    async fn set_name(
        &self,
        name: &str,
        target: &Descriptor,
        undo: &mut Vec<NameUndo>,
    ) -> Result<Changed, ContainerdError> {
        let wanted = Image { name: name.to_owned(), labels: labels(), target: Some(descriptor(target)) };
        let before = self.client.image(name).await?;
        if let Some(image) = &before {
            let digest = image.target.as_ref().map_or("", |target| target.digest.as_str());
            if digest == target.digest.to_string() && has_labels(image) {
                return Ok(Changed::Kept);
            }
            // So that taking it back finds the old image whole.
            self.keep_content(digest).await?;
        }
        let created = before.is_none();
        // Before the call, since it may have worked where its answer is lost.
        undo.push(NameUndo { name: name.to_owned(), before });
        if created {
            let request = self.client.request(CreateImageRequest { image: Some(wanted.clone()) });
            match self.client.images().create(request).await {
                Ok(_) => return Ok(Changed::Created),
                // The CRI plugin makes names of its own as soon as it sees one; make this one right.
                Err(status) if status.code() == Code::AlreadyExists => {}
                Err(status) => return Err(ContainerdError::call("name the image", name, status)),
            }
        }
        self.update(wanted).await?;
        Ok(Changed::Updated)
    }

    /// Sets the target and our labels; one of these that `image` lacks is taken away.
    async fn update(&self, image: Image) -> Result<(), ContainerdError> {
        let name = image.name.clone();
        let labels = LABELS.iter().map(|(key, _)| format!("labels.{key}"));
        let paths = std::iter::once("target".to_owned()).chain(labels).collect();
        let request = UpdateImageRequest { image: Some(image), update_mask: Some(FieldMask { paths }) };
        let answer = self.client.images().update(self.client.request(request)).await;
        answer.map(|_| ()).map_err(|status| ContainerdError::call("name the image", &name, status))
    }

    /// Makes names what they were, the last change first.
    ///
    /// # Errors
    /// The first failed call; the others are tried all the same.
    pub async fn restore_names(&self, undo: Vec<NameUndo>) -> Result<(), ContainerdError> {
        let mut result = Ok(());
        for NameUndo { name, before } in undo.into_iter().rev() {
            let restored = match before {
                Some(image) => self.update(image).await,
                None => self.remove_name(&name).await,
            };
            if result.is_ok() {
                result = restored;
            }
        }
        result
    }

    async fn remove_name(&self, name: &str) -> Result<(), ContainerdError> {
        let request = self.client.request(DeleteImageRequest { name: name.to_owned(), sync: false });
        match self.client.images().delete(request).await {
            Err(status) if status.code() != Code::NotFound => {
                Err(ContainerdError::call("remove the name", name, status))
            }
            _ => Ok(()),
        }
    }
}

fn labels() -> HashMap<String, String> {
    LABELS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn has_labels(image: &Image) -> bool {
    LABELS.iter().all(|(key, value)| image.labels.get(*key).is_some_and(|label| label == value))
}

/// Annotations stay behind: what the index says of a bundled image is for the bundle's readers.
pub(super) fn descriptor(descriptor: &Descriptor) -> types::Descriptor {
    types::Descriptor {
        media_type: descriptor.media_type.clone(),
        digest: descriptor.digest.to_string(),
        size: descriptor.size.cast_signed(),
        annotations: HashMap::new(),
    }
}
