import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { ClusterProcess, type ClusterMember } from '@etcd-ts/testkit'
import { fill, ours, quickFlags, real, skipWithoutReal } from './mixed-programs.ts'

// What is left when data folders are lost: a member without its own, and one member of a whole cluster.

const { Put, Range } = etcdserverpb.KVService

async function startInVain(member: ClusterMember): Promise<string> {
  member.server.spawn()
  const { code } = await member.server.exit()
  assert.equal(code, 1)
  return member.server.linesOfThisRun().join('\n')
}

for (const host of [ours, real]) {
  const skip = host === real ? skipWithoutReal : false
  void describe(`a cluster of ${host.title}`, { skip }, () => {
    void test('a member of ours that lost its data may not come back under its old id', async (t) => {
      const cluster = await ClusterProcess.start(t, { programs: [ours, host, host], flags: quickFlags })
      const [member] = cluster.members
      assert.ok(member !== undefined)
      await fill(t, cluster, 50)
      await member.kill()
      member.wipe()
      const refusal = `member ${member.idHex} has already been bootstrapped`
      assert.ok((await startInVain(member)).includes(refusal))
      member.wipe()
      assert.ok(member.server.cluster !== undefined)
      member.server.cluster = { ...member.server.cluster, state: 'existing' }
      assert.ok((await startInVain(member)).includes(refusal))

      // It comes back as a new member.
      await cluster.remove(member)
      const replacement = await cluster.join({ program: ours })
      await fill(t, cluster, 50)
      await cluster.assertEqualHashes()
      assert.notEqual(replacement.id, member.id)
    })
  })
}

for (const program of [ours, real]) {
  const skip = program === real ? skipWithoutReal : false
  void test(`one member of ${program.title} becomes a cluster, which grows again`, { skip }, async (t) => {
    const cluster = await ClusterProcess.start(t, { program, size: 3, flags: quickFlags })
    const [survivor] = cluster.members
    assert.ok(survivor !== undefined)
    await cluster.call(Put, { key: Buffer.from('kept'), value: Buffer.from('value') })
    await cluster.settled()
    // An end in good order: what a member knows to be committed is not on its disk at once.
    await survivor.stop()
    await cluster.kill()

    const { flags } = survivor.server
    survivor.server.flags = [...flags, '--force-new-cluster']
    await survivor.start()
    await cluster.leader({ among: [survivor] })
    const clusterId = (await survivor.status()).header?.clusterId
    assert.deepEqual(await names(survivor), [survivor.name])
    const { kvs } = await survivor.grpc.call(Range, { key: Buffer.from('kept') })
    assert.equal(Buffer.from(kvs[0]?.value ?? []).toString(), 'value')

    // Without the flag it stays alone, and takes others in.
    survivor.server.flags = flags
    await survivor.server.restart()
    await cluster.leader({ among: [survivor] })
    assert.deepEqual(await names(survivor), [survivor.name])
    assert.equal((await survivor.status()).header?.clusterId, clusterId)
    // The cluster has forgotten the others, and the harness forgets them here.
    for (const lost of cluster.members.slice(1)) await cluster.remove(lost)
    await cluster.join()
    await cluster.join()
    await fill(t, cluster, 50)
    await cluster.assertEqualHashes()
  })
}

async function names(member: ClusterMember): Promise<string[]> {
  const { members } = await member.grpc.call(etcdserverpb.ClusterService.MemberList, {})
  return members.map(({ name }) => name)
}
