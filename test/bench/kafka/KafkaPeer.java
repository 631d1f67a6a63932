/*
 * The Kafka side of the comparison: consumers in groups, driven by JSON lines on standard input, answered by JSON lines on standard output.
 *
 * It judges nothing. Its twin is muster-clients.ts: whoever changes what is measured here changes it there. One thread per consumer,
 * as the client wants it; partitions are paused while nothing is read, so that an idle group costs its heartbeats and nothing else.
 */

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.serialization.*;

public class KafkaPeer {
    static final String OFFSETS = "__consumer_offsets";
    static final long PATIENCE_MS = 120_000;
    static final ObjectMapper json = new ObjectMapper();
    static final PrintStream out = System.out;
    static final Map<String, Group> groups = new LinkedHashMap<>();
    static final List<Long> guarded = new ArrayList<>();
    static String servers;
    static Admin admin;

    public static void main(String[] args) throws Exception {
        servers = args[0];
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode order = json.readTree(line);
            Map<String, Object> answer = new LinkedHashMap<>();
            answer.put("id", order.get("id").asInt());
            try {
                answer.put("result", obey(order.get("op").asText(), order));
            } catch (Throwable thrown) {
                thrown.printStackTrace();
                answer.put("error", String.valueOf(thrown));
            }
            out.println(json.writeValueAsString(answer));
            out.flush();
        }
        // Its parent is gone, and may not have been able to end the brokers.
        for (long pid : guarded) ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly);
        Runtime.getRuntime().halt(0);
    }

    static Object obey(String op, JsonNode order) throws Exception {
        switch (op) {
            case "guard": return guarded.add(order.get("pid").asLong());
            case "ready": return ready(order.get("brokers").asInt());
            case "topic": return topic(order.get("name").asText(), order.get("partitions").asInt(), order.get("messages").asInt());
            case "open": return open(order);
            case "close": return close();
            case "join": return groups.get(order.get("group").asText()).join();
            case "leave": return groups.get(order.get("group").asText()).leave();
            case "commits": return commits(order.get("each").asInt());
            case "arm": return arm();
            case "strike": return strike();
            case "watch": return watch(order.get("everyMs").asLong());
            case "unwatch": return unwatch();
            case "generations": return generations();
            case "cluster": return cluster();
            case "settle": return settle(order.get("brokers").asInt(), order.get("goHome").asBoolean());
            case "idle": return idle(order.get("count").asInt(), order.get("topic").asText(), order.get("partitions").asInt());
            default: throw new IllegalArgumentException("no such op: " + op);
        }
    }

    // ---- what is asked of the cluster

    /** The first order: the brokers listen. */
    static Object ready(int brokers) throws Exception {
        admin = Admin.create(Map.of("bootstrap.servers", servers));
        until("all brokers are there", () -> admin.describeCluster().nodes().get().size() == brokers);
        return true;
    }

    static Object topic(String name, int partitions, int messages) throws Exception {
        admin.createTopics(List.of(new NewTopic(name, partitions, (short) 3))).all().get();
        Map<String, Object> config = Map.of("bootstrap.servers", servers, "acks", "all", "linger.ms", "5");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int at = 0; at < messages; at++) producer.send(new ProducerRecord<>(name, at % partitions, null, new byte[16]));
        }
        return true;
    }

    /** Who leads the metadata quorum, and who leads each partition of the offsets topic, which is who coordinates its groups. */
    static Object cluster() throws Exception {
        List<Integer> owners = new ArrayList<>();
        for (var partition : described(OFFSETS).partitions()) owners.add(partition.leader() == null ? -1 : partition.leader().id());
        return Map.of("controller", admin.describeMetadataQuorum().quorumInfo().get().leaderId(), "owners", owners);
    }

    /** Waits until every replica is in sync; where wanted, gives every partition back to its first replica then. */
    static Object settle(int brokers, boolean goHome) throws Exception {
        until("every replica is in sync", () -> {
            if (admin.describeCluster().nodes().get().size() != brokers) return false;
            for (String name : admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get())
                for (var partition : described(name).partitions())
                    if (partition.isr().size() != partition.replicas().size()) return false;
            return true;
        });
        if (!goHome) return true;
        admin.electLeaders(ElectionType.PREFERRED, null).partitions().get();
        until("every partition is led by its first replica", () -> {
            for (var partition : described(OFFSETS).partitions())
                if (partition.leader() == null || partition.leader().id() != partition.replicas().get(0).id()) return false;
            return true;
        });
        return true;
    }

    static TopicDescription described(String topic) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    }

    /** Groups without members, each with a committed offset for every partition. */
    static Object idle(int count, String topic, int partitions) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (int at = 0; at < partitions; at++) offsets.put(new TopicPartition(topic, at), new OffsetAndMetadata(1));
        List<KafkaFuture<Void>> open = new ArrayList<>();
        for (int at = 0; at < count; at++) {
            open.add(admin.alterConsumerGroupOffsets("idle-" + at, offsets).all());
            if (open.size() == 50) { for (var one : open) one.get(); open.clear(); }
        }
        for (var one : open) one.get();
        return true;
    }

    // ---- what groups do

    static Object open(JsonNode order) throws Exception {
        List<Group> opened = new ArrayList<>();
        for (JsonNode name : order.get("groups")) opened.add(new Group(name.asText(), order));
        for (Group group : opened) { groups.put(group.name, group); for (int at = 0; at < order.get("members").asInt(); at++) group.add(); }
        for (Group group : opened) group.untilShared(0);
        return true;
    }

    static Object close() throws Exception {
        List<Member> all = new ArrayList<>();
        for (Group group : groups.values()) all.addAll(group.members);
        for (Member member : all) member.end();
        for (Member member : all) member.thread.join();
        groups.clear();
        return true;
    }

    static CountDownLatch starting;

    /** Lets the first member of every group stand ready for work; it begins with `starting`. */
    static <T> List<Future<T>> gather(Work<T> work) throws Exception {
        CountDownLatch go = starting = new CountDownLatch(1);
        CountDownLatch ready = new CountDownLatch(groups.size());
        List<Future<T>> gathered = new ArrayList<>();
        for (Group group : groups.values()) {
            Member member = group.members.get(0);
            gathered.add(member.submit(() -> {
                member.fill();
                ready.countDown();
                go.await();
                return work.with(member);
            }));
        }
        ready.await();
        return gathered;
    }

    /** Every group commits one message after the other, each acknowledged before the next; all groups side by side. */
    static Object commits(int each) throws Exception {
        List<Future<double[]>> running = gather(member -> {
            double[] ms = new double[each];
            for (int at = 0; at < each; at++) {
                var offset = member.next();
                long from = System.nanoTime();
                member.consumer.commitSync(offset);
                ms[at] = (System.nanoTime() - from) / 1e6;
            }
            return ms;
        });
        long startedAt = System.nanoTime();
        starting.countDown();
        List<double[]> latencies = new ArrayList<>();
        for (var one : running) latencies.add(one.get());
        double elapsedMs = (System.nanoTime() - startedAt) / 1e6;
        return Map.of("latenciesMs", latencies.stream().flatMapToDouble(Arrays::stream).toArray(), "elapsedMs", elapsedMs);
    }

    static List<Future<long[]>> armed;

    /** Every group stands ready to commit at the next word. */
    static Object arm() throws Exception {
        armed = gather(member -> {
            long failed = 0;
            while (!member.tryCommit()) failed++;
            return new long[] {System.currentTimeMillis(), failed};
        });
        return true;
    }

    static Object strike() throws Exception {
        starting.countDown();
        List<Long> answeredAt = new ArrayList<>();
        long failed = 0;
        for (var one : armed) { answeredAt.add(one.get()[0]); failed += one.get()[1]; }
        return Map.of("answeredAt", answeredAt, "failed", failed);
    }

    static volatile boolean isWatching;
    static List<Future<double[]>> watched;

    static Object watch(long everyMs) throws Exception {
        isWatching = true;
        watched = gather(member -> {
            double done = 0, failed = 0, longest = 0;
            long last = System.nanoTime();
            while (isWatching) {
                if (member.tryCommit()) {
                    done++;
                    longest = Math.max(longest, (System.nanoTime() - last) / 1e6);
                    last = System.nanoTime();
                } else failed++;
                Thread.sleep(everyMs);
            }
            return new double[] {done, failed, longest};
        });
        starting.countDown();
        return true;
    }

    static Object unwatch() throws Exception {
        isWatching = false;
        double done = 0, failed = 0;
        List<Double> longest = new ArrayList<>();
        for (var one : watched) { done += one.get()[0]; failed += one.get()[1]; longest.add(one.get()[2]); }
        return Map.of("commits", done, "failed", failed, "longestMs", longest);
    }

    static Object generations() throws Exception {
        Map<String, Integer> found = new LinkedHashMap<>();
        for (Group group : groups.values()) {
            Member member = group.members.get(0);
            found.put(group.name, member.submit(() -> member.consumer.groupMetadata().generationId()).get());
        }
        return found;
    }

    // ---- a group and its members

    static final class Group {
        final String name, topic, protocol;
        final int partitions, sessionMs, heartbeatMs;
        final List<Member> members = new ArrayList<>();

        Group(String name, JsonNode order) {
            this.name = name;
            topic = order.get("topic").asText();
            partitions = order.get("partitions").asInt();
            protocol = order.get("protocol").asText();
            sessionMs = order.get("sessionMs").asInt();
            heartbeatMs = order.get("heartbeatMs").asInt();
        }

        synchronized void add() { members.add(new Member(this)); }

        double join() throws Exception {
            long from = System.nanoTime();
            add();
            return untilShared(from);
        }

        double leave() throws Exception {
            long from = System.nanoTime();
            Member leaving;
            synchronized (this) { leaving = members.remove(members.size() - 1); }
            leaving.end();
            double ms = untilShared(from);
            leaving.thread.join();
            return ms;
        }

        /** Waits until the members hold every partition once, evenly. @returns milliseconds from `from` to the last change */
        synchronized double untilShared(long from) throws Exception {
            long giveUpAt = System.currentTimeMillis() + PATIENCE_MS;
            while (!isShared()) {
                long left = giveUpAt - System.currentTimeMillis();
                if (left <= 0) throw new TimeoutException(name + " is not shared");
                wait(left);
            }
            long last = 0;
            for (Member member : members) last = Math.max(last, member.changedAt);
            return (last - from) / 1e6;
        }

        synchronized void changed(Member member, Runnable change) {
            change.run();
            member.changedAt = System.nanoTime();
            notifyAll();
        }

        boolean isShared() {
            Set<TopicPartition> all = new HashSet<>();
            int least = partitions / members.size();
            for (Member member : members) {
                int size = member.owned.size();
                if (size < least || size > least + 1) return false;
                for (TopicPartition one : member.owned) if (!all.add(one)) return false;
            }
            return all.size() == partitions;
        }
    }

    static final class Member implements ConsumerRebalanceListener {
        final Group group;
        final Set<TopicPartition> owned = new HashSet<>();
        final BlockingQueue<FutureTask<?>> tasks = new LinkedBlockingQueue<>();
        final ArrayDeque<ConsumerRecord<byte[], byte[]>> batch = new ArrayDeque<>();
        final Thread thread = new Thread(this::live);
        volatile boolean isEnding;
        volatile long changedAt;
        KafkaConsumer<byte[], byte[]> consumer;

        Member(Group group) { this.group = group; thread.start(); }

        void live() {
            Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", servers, "group.id", group.name,
                "group.protocol", group.protocol, "enable.auto.commit", false, "auto.offset.reset", "earliest"));
            if (group.protocol.equals("classic")) {
                config.put("session.timeout.ms", group.sessionMs);
                config.put("heartbeat.interval.ms", group.heartbeatMs);
                config.put("partition.assignment.strategy", List.of(CooperativeStickyAssignor.class));
            }
            synchronized (this) { consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer()); }
            consumer.subscribe(List.of(group.topic), this);
            while (!isEnding) {
                FutureTask<?> task = tasks.poll();
                if (task != null) task.run();
                else poll(100);
            }
            consumer.close();
        }

        void poll(long ms) {
            try {
                for (var one : consumer.poll(Duration.ofMillis(ms))) batch.add(one);
            } catch (org.apache.kafka.common.errors.WakeupException woken) {
                // There is something to do.
            }
        }

        <T> Future<T> submit(Callable<T> work) {
            FutureTask<T> task = new FutureTask<>(work);
            tasks.add(task);
            return task;
        }

        void end() {
            isEnding = true;
            synchronized (this) { if (consumer != null) consumer.wakeup(); }
        }

        /** Reads until there is something to commit. */
        void fill() {
            while (batch.isEmpty()) {
                consumer.resume(consumer.assignment());
                poll(100);
                consumer.pause(consumer.assignment());
            }
        }

        /** Takes the next message. @returns what its commit says */
        Map<TopicPartition, OffsetAndMetadata> next() {
            fill();
            var one = batch.poll();
            return Map.of(new TopicPartition(one.topic(), one.partition()), new OffsetAndMetadata(one.offset() + 1));
        }

        boolean tryCommit() {
            try {
                consumer.commitSync(next());
                return true;
            } catch (KafkaException thrown) {
                System.err.println(group.name + ": " + thrown);
                poll(0);
                return false;
            }
        }

        @Override public void onPartitionsAssigned(Collection<TopicPartition> added) {
            consumer.pause(added);
            group.changed(this, () -> owned.addAll(added));
        }

        @Override public void onPartitionsRevoked(Collection<TopicPartition> gone) {
            batch.removeIf(one -> gone.contains(new TopicPartition(one.topic(), one.partition())));
            group.changed(this, () -> owned.removeAll(gone));
        }
    }

    interface Work<T> { T with(Member member) throws Exception; }
    interface Condition { boolean holds() throws Exception; }

    static void until(String what, Condition condition) throws Exception {
        long giveUpAt = System.currentTimeMillis() + PATIENCE_MS;
        while (true) {
            try {
                if (condition.holds()) return;
            } catch (ExecutionException notYet) {
                if (System.currentTimeMillis() > giveUpAt) throw notYet;
            }
            if (System.currentTimeMillis() > giveUpAt) throw new TimeoutException("not in time: " + what);
            Thread.sleep(20);
        }
    }
}
