// client.js - an app written with another maker's gRPC.
//
//   node client.js PORT CERTS APP-PEM APP-KEY CASE SUBJECT
//
// CERTS is the CA's PEM. Prints one line of JSON: {code, name, detail, ...}.
'use strict';
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [port, ca, cert, key, what, subject] = process.argv.slice(2);
const protos = process.env.PROTOS;
const options = {keepCase : true, longs : String, enums : String, defaults : true};

function load(file, pkg) {
    const d = loader.loadSync(path.join(protos, file), options);
    return pkg.split('.').reduce((o, k) => o[k], grpc.loadPackageDefinition(d));
}

function credentials() {
    return grpc.credentials.createSsl(
        fs.readFileSync(ca), fs.readFileSync(key), fs.readFileSync(cert));
}

function channel(Service, more = {}) {
    return new Service('localhost:' + port, credentials(), {
        'grpc.max_receive_message_length' : 16 << 20,
        'grpc.enable_retries' : 0,
        ...more,
    });
}

const deadline = () => ({deadline : Date.now() + 60000});

function report(error, extra = {}) {
    const code = error ? error.code : 0;
    console.log(JSON.stringify({
        code,
        name : Object.keys(grpc.status).find((k) => grpc.status[k] === code),
        detail : error ? error.details : '',
        ...extra,
    }));
    process.exit(0);
}

// Sends bytes as they are, whatever the .proto says.
function raw(Client, method, bytes, more) {
    const client = channel(grpc.Client, more);
    client.makeUnaryRequest(method, (x) => x, (x) => x, bytes,
        new grpc.Metadata(), deadline(),
        (error, reply) => report(error, {bytes : reply ? reply.length : 0}));
}

function query(more = {}) {
    return channel(load('query.proto', 'creditnode.query.v1').Query, more);
}

const METHOD = '/creditnode.query.v1.Query/Subject';

// A federation stream: what the server says to `messages`.
function stream(messages, then = () => {}) {
    const client = channel(grpc.Client);
    const call = client.makeBidiStreamRequest(
        '/creditnode.federation.v1.Federation/Replicate', (x) => x, (x) => x,
        new grpc.Metadata(), deadline());
    let got = 0;
    call.on('data', () => got++);
    call.on('error', (error) => report(error, {got}));
    call.on('end', () => report(null, {got}));
    for (const m of messages) {
        call.write(m);
    }
    then(call);
}

// What a tool does that knows nothing of this node: asks which services there
// are and in which files they stand, and calls by what these say. The messages
// of reflection itself are another maker's.
function ask_all(version, then) {
    const file = path.join(__dirname, 'node_modules/@grpc/reflection/build/proto',
        'grpc/reflection', version, 'reflection.proto');
    const {ServerReflection} = grpc.loadPackageDefinition(
        loader.loadSync(file, options)).grpc.reflection[version];
    const call = channel(ServerReflection)
        .ServerReflectionInfo(new grpc.Metadata(), deadline());
    const told = {services : [], files : new Map(), unknown : 0, left : 0};
    const question = (q) => {
        told.left++;
        call.write(q);
    };
    call.on('error', (error) => report(error));
    call.on('data', (r) => {
        if (r.list_services_response) {
            told.services = r.list_services_response.service.map((s) => s.name);
            told.services.forEach((s) => question({file_containing_symbol : s}));
            question({file_containing_symbol : 'creditnode.query.v1.Nothing'});
        } else if (r.file_descriptor_response) {
            r.file_descriptor_response.file_descriptor_proto.forEach(
                (f) => told.files.set(f.toString('hex'), f));
        } else {
            told.unknown = r.error_response.error_code;
        }
        if (--told.left === 0) {
            call.end();
        }
    });
    call.on('end', () => then(told));
    question({list_services : ''});
}

// A FileDescriptorSet: field 1, each file with its length as a varint.
function descriptor_set(files) {
    const parts = [];
    for (const f of files) {
        const head = [ 0x0a ];
        let n = f.length;
        for (; n > 127; n >>= 7) {
            head.push(n % 128 + 128);
        }
        parts.push(Buffer.from([...head, n ]), f);
    }
    return Buffer.concat(parts);
}

function reflect(version) {
    ask_all(version, (told) => {
        const {Query} = grpc.loadPackageDefinition(
            loader.loadFileDescriptorSetFromBuffer(
                descriptor_set(told.files.values()), options)).creditnode.query.v1;
        channel(Query).Subject({subject, limit : 5}, deadline(),
            (e, r) => report(e, {
                services : told.services,
                files : told.files.size,
                unknown : told.unknown,
                fields : r && r.records[0] ? r.records[0].fields.length : 0,
            }));
    });
}

const cases = {
    reflection() {
        reflect('v1');
    },
    reflection_old() {
        reflect('v1alpha');
    },
    health() {
        const {Health} = load('health.proto', 'grpc.health.v1');
        channel(Health).Check({}, deadline(),
            (e, r) => report(e, {status : r && r.status}));
    },
    subject() {
        query().Subject({subject, limit : 5}, deadline(),
            (e, r) => report(e, {
                records : r ? r.records.length : 0,
                fields : r && r.records[0] ? r.records[0].fields.length : 0,
            }));
    },
    wrong_subject() {
        query().Subject({subject : '91999900MA50M8JX90'}, deadline(), report);
    },
    many() {
        const client = query();
        let left = 500;
        let bad = 0;
        for (let i = 0; i < 500; i++) {
            client.Subject({subject, limit : 2}, deadline(), (e) => {
                bad += e ? 1 : 0;
                if (--left === 0) {
                    report(null, {bad});
                }
            });
        }
    },
    cancel() {
        const client = query();
        let left = 200;
        for (let i = 0; i < 200; i++) {
            const call = client.Subject({subject}, deadline(), () => {
                if (--left === 0) {
                    report(null);
                }
            });
            setTimeout(() => call.cancel(), i % 5);
        }
    },
    cancel_stream() {
        stream([], (call) => setTimeout(() => call.cancel(), 200));
    },
    gzip() {
        query({'grpc.default_compression_algorithm' : 2})
            .Subject({subject : subject.repeat(100)}, deadline(), report);
    },
    garbage() {
        raw(grpc.Client, METHOD, Buffer.from('ff00ff00deadbeef'.repeat(9), 'hex'));
    },
    empty() {
        raw(grpc.Client, METHOD, Buffer.alloc(0));
    },
    giant() {
        raw(grpc.Client, METHOD, Buffer.alloc(5 << 20),
            {'grpc.max_send_message_length' : 16 << 20});
    },
    no_method() {
        raw(grpc.Client, '/creditnode.query.v1.Query/Nothing', Buffer.alloc(1));
    },
    federation() {
        stream([ Buffer.from('0a020801', 'hex') ]);
    },
    submit() {
        const {Ingest} = load('ingest.proto', 'creditnode.ingest.v1');
        channel(Ingest).Submit({csv : fs.readFileSync(process.env.CSV)},
            deadline(), (e, r) => report(e, {
                rows : r ? r.rows.length : 0,
                outcome : r && r.rows[0] ? r.rows[0].outcome : '',
            }));
    },
};

cases[what]();
