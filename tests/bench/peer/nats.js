// nats.js - a list that goes down a tree of NATS JetStream servers, the peer of
// own_lists.sh.
//
//   node nats.js up FOLDER PORT LEAVES-A-MIDDLE     starts 1 + 10 + 10 × LEAVES
//   node nats.js directive FOLDER COUNT             one entry at a time
//   node nats.js directives_bulk FOLDER COUNT       as fast as the root takes
//
// Leaf nodes, each a JetStream domain of its own with file storage; the stream
// of each level mirrors the one above. A leaf has an entry when it has stored it
// and has handed it to a consumer. FOLDER/pids names the processes. NATS syncs
// on a timer and signs nothing.
'use strict';
const fs = require('fs');
const net = require('net');
const { spawn } = require('child_process');

const MIDDLES = 10, ENTRY_BYTES = 300, READY_MS = 60000;

class Connection {
    constructor(port) {
        this.buffer = Buffer.alloc(0);
        this.handlers = new Map();
        this.sid = 0;
        this.socket = net.connect(port, '127.0.0.1');
        this.socket.setNoDelay(true);
        this.opened = new Promise((resolve, reject) => {
            this.pong = resolve;
            this.socket.on('error', reject);
        });
        this.socket.on('data', (data) => this.take(data));
        this.socket.write('CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\nPING\r\n');
    }

    take(data) {
        this.buffer = this.buffer.length > 0 ? Buffer.concat([this.buffer, data]) : data;
        let at = 0;
        for (;;) {
            const end = this.buffer.indexOf('\r\n', at);
            if (end < 0) break;
            const words = this.buffer.toString('latin1', at, end).split(' ');
            let next = end + 2;
            if (words[0] === 'MSG' || words[0] === 'HMSG') {
                const size = Number(words[words.length - 1]);
                if (this.buffer.length < next + size + 2) break;
                const skip = words[0] === 'HMSG' ? Number(words[words.length - 2]) : 0;
                const handler = this.handlers.get(words[2]);
                if (handler) handler(this.buffer.subarray(next + skip, next + size));
                next += size + 2;
            } else if (words[0] === 'PING') {
                this.socket.write('PONG\r\n');
            } else if (words[0] === 'PONG') {
                this.pong();
            } else if (words[0] === '-ERR') {
                throw new Error(words.join(' '));
            }
            at = next;
        }
        this.buffer = this.buffer.subarray(at);
    }

    subscribe(subject, handler) {
        const sid = String(++this.sid);
        this.handlers.set(sid, handler);
        this.socket.write(`SUB ${subject} ${sid}\r\n`);
    }

    publish(subject, text, reply = '') {
        this.socket.write(`PUB ${subject} ${reply} ${Buffer.byteLength(text)}\r\n${text}\r\n`);
    }

    request(subject, text) {
        return new Promise((resolve) => {
            const inbox = `_INBOX.${Math.random().toString(36).slice(2)}`;
            this.subscribe(inbox, (data) => resolve(JSON.parse(data.toString())));
            this.publish(subject, text, inbox);
        });
    }

    end() { this.socket.destroy(); }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Retries until the server answers, and without an error.
async function ask(port, subject, body) {
    const until = Date.now() + READY_MS;
    for (;;) {
        let said = 'no answer';
        try {
            const c = new Connection(port);
            await c.opened;
            const reply = await Promise.race([c.request(subject, body), sleep(2000)]);
            c.end();
            if (reply && !reply.error) return reply;
            if (reply) said = reply.error.description;
        } catch (e) {
            said = e.message;
        }
        if (Date.now() > until) throw new Error(`server at ${port}: ${said}`);
        await sleep(200);
    }
}

function plan(port, leaves) {
    const nodes = [{ name: 'root' }];
    for (let m = 0; m < MIDDLES; m++) nodes.push({ name: `m${m}`, parent: 0 });
    for (let m = 0; m < MIDDLES; m++) {
        for (let l = 0; l < leaves; l++) nodes.push({ name: `l${m}x${l}`, parent: 1 + m, leaf: true });
    }
    nodes.forEach((n, i) => {
        n.port = port + i;
        n.leafPort = port + nodes.length + i;
    });
    return nodes;
}

function configuration(nodes, n, folder) {
    const remote = n.parent === undefined ? '' : `remotes: [{ url: "nats://127.0.0.1:${nodes[n.parent].leafPort}" }]`;
    const listen = n.leaf ? '' : `listen: "127.0.0.1:${n.leafPort}"`;
    return `server_name: ${n.name}
listen: "127.0.0.1:${n.port}"
log_file: "${folder}/log"
jetstream { store_dir: "${folder}/js", domain: ${n.name}, max_mem: 8M, max_file: 256M }
leafnodes { ${listen}
 ${remote} }
`;
}

async function up(folder, port, leaves) {
    const nodes = plan(port, leaves);
    fs.writeFileSync(`${folder}/plan.json`, JSON.stringify(nodes));
    for (const n of nodes) {
        const own = `${folder}/${n.name}`;
        fs.mkdirSync(own);
        fs.writeFileSync(`${own}/conf`, configuration(nodes, n, own));
        const child = spawn('nats-server', ['-c', `${own}/conf`], { detached: true, stdio: 'ignore' });
        child.unref();
        fs.appendFileSync(`${folder}/pids`, `${child.pid}\n`);
        await sleep(30);
    }
    for (const n of nodes) {
        const stream = { name: 'LIST', storage: 'file', retention: 'limits', num_replicas: 1, discard: 'old',
            max_consumers: -1, max_msgs: -1, max_bytes: -1 };
        if (n.parent === undefined) stream.subjects = ['list.>'];
        else stream.mirror = { name: 'LIST', external: { api: `$JS.${nodes[n.parent].name}.API`, deliver: '' } };
        await ask(n.port, '$JS.API.STREAM.CREATE.LIST', JSON.stringify(stream));
    }
}

// Calls `came(leaf)` for each entry that a leaf hands out.
async function consume(nodes, came) {
    const connections = [];
    for (const n of nodes.filter((one) => one.leaf)) {
        const c = new Connection(n.port);
        await c.opened;
        c.subscribe(`deliver.${n.name}`, () => came(n.name));
        const reply = await c.request('$JS.API.CONSUMER.CREATE.LIST', JSON.stringify({
            stream_name: 'LIST',
            config: { deliver_subject: `deliver.${n.name}`, deliver_policy: 'new', ack_policy: 'none',
                replay_policy: 'instant' },
        }));
        if (reply.error) throw new Error(reply.error.description);
        connections.push(c);
    }
    await sleep(1000);
    return connections;
}

function entry(k) {
    return `{"list":"black","subject":"91999900MA${String(k).padStart(8, '0')}"}`.padEnd(ENTRY_BYTES);
}

// Until every leaf has had `want` entries since; milliseconds.
function arrival(state, leaves, want) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('not all leaves have it')), 120000);
        state.counts = new Map();
        let whole = 0;
        state.came = (leaf) => {
            const n = (state.counts.get(leaf) || 0) + 1;
            state.counts.set(leaf, n);
            if (n === want && ++whole === leaves) {
                clearTimeout(timer);
                resolve(performance.now());
            }
        };
    });
}

function rank(sorted, share) {
    return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

async function measure(bench, folder, count) {
    const nodes = JSON.parse(fs.readFileSync(`${folder}/plan.json`));
    const leaves = nodes.filter((n) => n.leaf).length;
    const state = { came: () => {} };
    const connections = await consume(nodes, (leaf) => state.came(leaf));
    const root = new Connection(nodes[0].port);
    await root.opened;
    const result = { bench, peer: 'nats' };
    if (bench === 'directive') {
        const ms = [];
        for (let k = 0; k < count; k++) {
            const all = arrival(state, leaves, 1);
            const from = performance.now();
            root.publish('list.add', entry(k));
            ms.push((await all) - from);
            await sleep(250);
        }
        ms.sort((a, b) => a - b);
        Object.assign(result, { directives: count, p50_ms: rank(ms, 0.5), p99_ms: rank(ms, 0.99), max_ms: rank(ms, 1) });
    } else {
        const all = arrival(state, leaves, count);
        const from = performance.now();
        for (let k = 0; k < count; k++) root.publish('list.add', entry(k));
        const seconds = ((await all) - from) / 1000;
        Object.assign(result, { entries: count, seconds, entries_per_s: count / seconds });
    }
    console.log(JSON.stringify(result));
    for (const c of [root, ...connections]) c.end();
}

const [command, folder, ...rest] = process.argv.slice(2);
const run = command === 'up' ? up(folder, Number(rest[0]), Number(rest[1])) : measure(command, folder, Number(rest[0]));
run.catch((e) => {
    console.error(`nats.js: ${e.message}`);
    process.exit(1);
});
