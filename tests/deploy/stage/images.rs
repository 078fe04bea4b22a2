//! What the images bring along, and this machine has elsewhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::Stage;
use crate::{WORKER, root};

impl Stage {
    /// The commands that images have and this machine has elsewhere, or with another port.
    pub(super) fn bring_images(&self) {
        let kafka = "java -Xmx128m -cp \"$ONCEWISE_TEST_KAFKA_CLASSPATH\" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
        let (redis, postgres) = (self.port("redis", 6379), self.port("postgres", 5432));
        let data = self.folder.path().join("redis");
        fs::create_dir_all(&data).unwrap();
        for (name, command) in [
            ("worker", WORKER.to_owned()),
            ("kafka-topics.sh", format!("{kafka} org.apache.kafka.tools.TopicCommand")),
            (
                "kafka-broker-api-versions.sh",
                format!("{kafka} org.apache.kafka.tools.BrokerApiVersionsCommand"),
            ),
            ("redis-cli", format!("/usr/bin/redis-cli -p {redis}")),
            (
                "pg_isready",
                format!(
                    "$(find /usr/lib/postgresql -name pg_isready | sort -V | tail -n 1) -h 127.0.0.1 -p {postgres}"
                ),
            ),
        ] {
            self.bring(name, &format!("exec {command} \"$@\""));
        }
        let data = data.display();
        self.bring(
            "redis-server",
            &format!("exec /usr/bin/redis-server \"$@\" --port {redis} --bind 127.0.0.1 --dir {data}"),
        );
        let prometheus = self.port("prometheus", 9090);
        self.bring(
            "prometheus",
            &format!("exec /usr/bin/prometheus \"$@\" --web.listen-address=127.0.0.1:{prometheus}"),
        );
        for (name, more) in [("kafka", String::new()), ("postgres", postgres.to_string())] {
            let (script, data) =
                (root().join("tests/deploy/images").join(name), self.folder.path().join(name));
            self.bring(name, &format!("exec {} {} {more}", script.display(), data.display()));
        }
        let etc = self.folder.path().join("prometheus/etc");
        fs::create_dir_all(&etc).unwrap();
        for file in fs::read_dir(root().join("deploy/prometheus")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), etc.join(file.file_name())).unwrap();
        }
        self.translate_file("", &etc.join("prometheus.yaml"));
    }

    fn bring(&self, name: &str, script: &str) {
        let path = self.folder.path().join("bin").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/usr/bin/env bash\nset -euo pipefail\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
