import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { OWN_VERSION, versionText } from './version.ts'

void test('the version is that of the package', () => {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  assert.ok(typeof manifest === 'object' && manifest !== null && 'version' in manifest)
  assert.equal(OWN_VERSION, manifest.version)
})

void test('--version has the four lines of etcd', () => {
  assert.match(
    versionText(),
    /^etcd Version: 3\.5\.33\nGit SHA: etcd-ts .*\nGo Version: Node\.js v.*\nGo OS\/Arch: \w+\/\w+\n$/,
  )
})
