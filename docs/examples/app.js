#!/usr/bin/env node
// app.js - an app of an office: enters records, asks about a subject, checks
// bidders against the lists, tells what it did. docs/apps.md explains it.
//
//   npm install @grpc/grpc-js @grpc/proto-loader
//
//   node app.js submit ROWS.json     an array of rows, {COLUMN: value, ...}
//   node app.js subject CODE         all that this app may see
//   node app.js check CODE...        is one of these on a list?
//   node app.js feedback LOG NUMBER applied MEASURES
//   node app.js feedback LOG NUMBER not-applicable
//   node app.js feedback LOG NUMBER refused REASON
//
// In the environment: NODES, the node's HOST:PORT (of several processes of one
// node all, with commas); CERTS, the folder with app.pem, app.key and ca.pem;
// PROTOS, that with query.proto and ingest.proto; WITHIN, seconds until a call
// is given up with all its repetitions (default 30).
//
// Prints JSON. Exit status: 0 done, nobody is listed; 1 failed; 3 rows were
// refused, or somebody is listed; 4 nobody is, as far as can be told.
'use strict';
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const env = {CERTS: '.', PROTOS: 'proto', WITHIN: '30', ...process.env};
const within = 1000 * Number(env.WITHIN);
const nodes = (env.NODES || '').split(',').map((a) => a.trim()).filter(Boolean);

// ---- calls ----

// 64-bit numbers as text, bytes as Buffer, names as in the .proto files.
function service(file, name) {
    const loaded = loader.loadSync(path.join(env.PROTOS, file),
        {keepCase: true, longs: String, defaults: true});
    return name.split('.').reduce((at, part) => at[part],
        grpc.loadPackageDefinition(loaded));
}
const services = {
    Query: service('query.proto', 'creditnode.query.v1.Query'),
    Ingest: service('ingest.proto', 'creditnode.ingest.v1.Ingest'),
};

// One client for each address and service, for as long as the app runs: a
// connection costs a handshake, and a node lets an app have 64.
const clients = new Map();
function client(address, name) {
    const key = `${address} ${name}`;
    if (!clients.has(key)) {
        const read = (file) => fs.readFileSync(path.join(env.CERTS, file));
        clients.set(key, new services[name](address,
            grpc.credentials.createSsl(
                read('ca.pem'), read('app.key'), read('app.pem')),
            // The loop below repeats; it knows which errors pass.
            {'grpc.enable_retries': 0}));
    }
    return clients.get(key);
}

function once(address, name, method, request, deadline) {
    return new Promise((resolve, reject) => {
        client(address, name)[method](request, {deadline},
            (error, reply) => (error ? reject(error) : resolve(reply)));
    });
}

// The node's own name of an error; '' if the transport made it.
function errorName(error) {
    return error.metadata ? String(error.metadata.get('creditnode-err')[0] || '') : '';
}

// Is it worth sending the same again? All calls may be repeated: what a node
// has done already it does not do twice.
const passing = ['BUSY', 'TIMEOUT', 'UNAVAILABLE', 'ELSEWHERE', 'NO_SPACE',
    'IO', 'UNCERTAIN'];
function passes(error) {
    const name = errorName(error);
    return name !== '' ? passing.includes(name)
        : [grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED,
            grpc.status.CANCELLED].includes(error.code);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Calls until there is an answer, the error is one that stays, or the time is
// over. A process that stands by names the one that writes; that is asked next.
async function call(name, method, request) {
    const end = Date.now() + within;
    let addresses = [...nodes];
    let pause = 200;
    let referred = false;
    for (;;) {
        // An attempt has a part of the time only: its node may have frozen.
        const deadline = Math.min(end, Date.now() + Math.max(within / 3, 1000));
        try {
            return await once(addresses[0], name, method, request, deadline);
        } catch (error) {
            const [writer] = error.metadata
                ? error.metadata.get('creditnode-writer') : [];
            const wait = writer && !referred ? 0 : pause * (0.5 + Math.random());
            if (!passes(error) || Date.now() + wait >= end) {
                throw error;
            }
            referred = Boolean(writer);
            const next = writer || addresses[1] || addresses[0];
            addresses = [next, ...addresses.filter((a) => a !== next)];
            pause = Math.min(2 * pause, 5000);
            await sleep(wait);
        }
    }
}

// ---- entering ----

const quoted = (value) => `"${String(value ?? '').replace(/"/g, '""')}"`;

// 500 rows of usual length stay far below 1 MiB and 4,096 lines.
const ROWS_A_CALL = 500;

async function submit(rows) {
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    const answers = [];
    for (let at = 0; at < rows.length; at += ROWS_A_CALL) {
        const part = rows.slice(at, at + ROWS_A_CALL);
        const csv = [columns, ...part.map((row) => columns.map((c) => row[c]))]
            .map((cells) => cells.map(quoted).join(',') + '\n').join('');
        const reply = await call('Ingest', 'Submit', {csv: Buffer.from(csv)});
        reply.warnings.forEach((text) => console.error(`warning: ${text}`));
        // One answer a row, in the order in which they were sent.
        reply.rows.forEach((row, i) => answers.push({
            row: at + i,
            outcome: row.outcome,
            record_key: row.record_key.toString('hex'),
            faults: row.faults,
        }));
    }
    return answers;
}

// ---- asking ----

async function subject(code) {
    const records = [];
    let reply;
    let after = Buffer.alloc(0);
    do {
        reply = await call('Query', 'Subject', {subject: code, limit: 500, after});
        records.push(...reply.records);
        after = reply.next;
    } while (after.length > 0);
    return {records, listings: reply.listings, sure: isSure(reply)};
}

// That nobody is listed is worth as much as the lists that were asked.
function isSure(reply) {
    return reply.unheard.length === 0 &&
        reply.lists.every((list) => list.freshness === 'fresh');
}

const CODES_A_CALL = 1000;

async function check(codes) {
    const answer = {hits: [], invalid: [], sure: true, recorded: true};
    for (let at = 0; at < codes.length; at += CODES_A_CALL) {
        const reply = await call('Query', 'Check',
            {subjects: codes.slice(at, at + CODES_A_CALL)});
        answer.hits.push(...reply.hits);
        answer.invalid.push(...reply.invalid);
        answer.sure = answer.sure && isSure(reply);
        answer.recorded = answer.recorded && reply.recorded;
    }
    answer.sure = answer.sure && answer.invalid.length === 0;
    return answer;
}

async function feedback(log, number, outcome, text = '') {
    const reply = await call('Query', 'Feedback', {
        log, number, outcome,
        measures: outcome === 'applied' ? text : '',
        reason: outcome === 'applied' ? '' : text,
    });
    return {record_key: reply.record_key.toString('hex'), version: reply.version};
}

// ---- the command ----

const commands = {
    async submit(file) {
        const answers = await submit(JSON.parse(fs.readFileSync(file, 'utf8')));
        return [answers, answers.some((a) => a.outcome === 'refused') ? 3 : 0];
    },
    async subject(code) {
        const answer = await subject(code);
        return [answer, answer.listings.length > 0 ? 3 : answer.sure ? 0 : 4];
    },
    async check(...codes) {
        const answer = await check(codes);
        return [answer, answer.hits.length > 0 ? 3 : answer.sure ? 0 : 4];
    },
    async feedback(...args) {
        return [await feedback(...args), 0];
    },
};

async function main([command, ...args]) {
    if (!commands[command] || args.length === 0 || nodes.length === 0) {
        console.error('name NODES, a command (submit, subject, check, feedback)' +
            ' and what it is about; the head of this file tells more');
        return 1;
    }
    try {
        const [answer, status] = await commands[command](...args);
        console.log(JSON.stringify(answer, (key, value) =>
            (value && value.type === 'Buffer'
                ? Buffer.from(value.data).toString('hex') : value)));
        return status;
    } catch (error) {
        const status = grpc.status[error.code] || 'error';
        console.error(`${errorName(error) || status}: ${error.details || error.message}`);
        return 1;
    }
}

// Not by closing the clients: one that waits for the handshake of a node that
// is silent would keep the process.
main(process.argv.slice(2)).then((status) => process.exit(status));
