// Runs the recorded cases of etcdctl's command families against real etcd with our etcdctl, and compares the
// answers: `node packages/ctl/scripts/replay-golden.mjs [FAMILY...]`. Needs Python 3, etcd in the PATH and the
// recordings in $ETCD_TS_SHARED/golden (default: ../shared beside the repository). ETCD names another server,
// PORT_BASE the first of 100 free ports.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const families = ['kv', 'txn', 'compaction', 'defrag', 'endpoint', 'alarm', 'check', 'member', 'move-leader']
const repository = fileURLToPath(new URL('../../..', import.meta.url))
const golden = join(process.env.ETCD_TS_SHARED ?? join(repository, '../shared'), 'golden')
const chosen = process.argv.length > 2 ? process.argv.slice(2) : families
const only = chosen.flatMap((family) => ['--family', family])
const out = mkdtempSync(join(tmpdir(), 'golden-'))

function python(script, ...args) {
  return spawnSync('python3', [join(golden, script), ...args], { stdio: 'inherit' }).status ?? 1
}

const etcd = process.env.ETCD ?? 'etcd'
const etcdctl = `${process.execPath} ${join(repository, 'bin/etcdctl')}`
const ports = process.env.PORT_BASE ?? '23200'
python('record.py', '--out', out, '--etcd', etcd, '--etcdctl', etcdctl, '--port-base', ports, ...only)
const status = python('compare.py', golden, out, ...only)
rmSync(out, { recursive: true })
process.exit(status)
