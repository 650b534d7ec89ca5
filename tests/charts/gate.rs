//! The gate of a build: a planned bundle has every image that a rendered object names, or it is said who asks for it.

use carrack::chart::{self, Helm};
use carrack::download::Downloader;
use carrack::fetch::{self, Images, Inputs, Remotes};
use carrack::images::{Options, discover, not_carried, told};
use carrack::lock::Lock;
use carrack::profile::{self, Loaded, Packs};
use carrack::registry::{Credentials, Options as RegistryOptions, Registry};

use super::found::registry;
use super::helm::helms;
use super::shop::{Shop, pod};

#[tokio::test]
async fn what_a_plan_lacks_is_told_with_who_asks_for_it() {
    for helm in helms("what_a_plan_lacks_is_told_with_who_asks_for_it") {
        let server = registry(&["web", "hidden"]);
        let host = server.host();
        let files = [
            ("templates/web.yaml", &*pod("web", &format!("{host}/web:1"))),
            ("templates/hidden.yaml", &pod("hidden", &format!("{host}/hidden:1"))),
            ("templates/again.yaml", &pod("again", &format!("{host}/hidden:1"))),
        ];
        let shop = Shop::chart("[]", &files);
        let locked = shop.carrack(&helm, &["lock", "."]);
        assert_eq!(locked.code, 0, "{}", locked.stderr);
        let folder = shop.sandbox.work();
        let Loaded::Profile(profile) = profile::load(&folder, &Packs::new()).unwrap() else { panic!() };
        let source = &profile.packs[1].charts[0];
        let charts = [chart::local(source, "shop", &folder.join("kept")).unwrap()];
        let helm = Helm::find(Some(helm.as_os_str()), None).unwrap();
        let options = Options { helm: helm.as_ref(), ..Options::default() };
        let discovery = discover(&profile, &charts, options).unwrap();
        let mut lock = Lock::load(&folder.join("carrack.lock")).unwrap();
        let client = Registry::with_credentials(RegistryOptions::default(), Credentials::none());
        let downloader = Downloader::new();
        let remotes = Remotes { registry: &client, downloader: &downloader };
        let lacking = async |lock: &Lock| {
            let inputs = Inputs { profile: &profile, charts: &charts, discovery: &discovery, lock };
            let plan = fetch::plan(inputs, remotes, Images::Carried, None, 1).await.unwrap();
            let lines = told(&not_carried(&discovery, &plan.names));
            lines.iter().map(|line| line.replace(&format!("{}/", folder.display()), "")).collect::<Vec<_>>()
        };
        assert_eq!(lacking(&lock).await, [""; 0]);
        lock.images.remove(&format!("{host}/hidden:1").parse().unwrap());
        let asks = |template: &str, name: &str| {
            format!(
                "{host}/hidden:1 is asked for by pack shop, carrack.yaml:10, chart shop 1.2.3, templates/{template}.yaml, \
                 Pod {name}, spec.containers[0].image"
            )
        };
        assert_eq!(lacking(&lock).await, [asks("again", "again"), asks("hidden", "hidden")]);
    }
}
