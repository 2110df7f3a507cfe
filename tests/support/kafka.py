"""A real Kafka (KRaft, one node) from Maven Central's jars, private to the run."""
import os
import shutil
import signal
import subprocess

from .process import ROOT, Process, free_port, wait_until

VERSION = "4.4.0"
JARS = os.path.join(ROOT, "build", "kafka-" + VERSION)

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>rollcall</groupId><artifactId>kafka-run</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""

SERVER = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={dir}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
default.replication.factor=1
min.insync.replicas=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=250
"""


def jars():
    """Fetches the jars once a checkout."""
    done = os.path.join(JARS, "complete")
    if not os.path.exists(done):
        print(f"fetching Kafka {VERSION} from Maven Central into {JARS}")
        os.makedirs(JARS, exist_ok=True)
        pom = os.path.join(JARS, "pom.xml")
        with open(pom, "w") as f:
            f.write(POM)
        subprocess.run(["mvn", "-B", "-q", "-f", pom,
                        "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
                        "-DincludeScope=runtime", f"-DoutputDirectory={JARS}/lib"], check=True, timeout=600)
        open(done, "w").close()
    return os.path.join(JARS, "lib", "*")


class Kafka:
    def __init__(self, directory):
        self.dir = directory
        self.classpath = jars()
        self.port, self.controller = free_port(), free_port()
        self.brokers = f"127.0.0.1:{self.port}"
        self.process = None
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        config = os.path.join(directory, "server.properties")
        with open(config, "w") as f:
            f.write(SERVER.format(port=self.port, controller=self.controller, dir=directory))
        subprocess.run(["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", self.classpath, "kafka.tools.StorageTool",
                        "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", config], check=True, timeout=120,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self):
        self.process = Process(["java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC",
                                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", self.classpath, "kafka.Kafka",
                                os.path.join(self.dir, "server.properties")], os.path.join(self.dir, "log"))
        wait_until("Kafka to answer", self._answers, 120, 0.2)
        return self

    def _answers(self):
        assert self.process.alive(), "Kafka ended:\n" + self.process.said()[-3000:]
        r = subprocess.run(["kcat", "-b", self.brokers, "-L", "-m", "1"], capture_output=True, text=True)
        return "broker 1 at" in r.stdout

    def end_offsets(self, topic):
        """{partition: end offset}, as kcat sees them."""
        listed = subprocess.run(["kcat", "-b", self.brokers, "-L", "-t", topic], capture_output=True, text=True, check=True)
        partitions = [int(line.split("partition ")[1].split(",")[0])
                      for line in listed.stdout.splitlines() if line.strip().startswith("partition ")]
        ask = [a for p in partitions for a in ("-t", f"{topic}:{p}:-1")]
        said = subprocess.run(["kcat", "-b", self.brokers, "-Q", *ask], capture_output=True, text=True, check=True).stdout
        # "rollcall.shards [3] offset 17"
        return {int(line.split("[")[1].split("]")[0]): int(line.rsplit(" ", 1)[1]) for line in said.splitlines() if "[" in line}

    def stop(self):
        if self.process:
            self.process.stop(signal.SIGTERM)
