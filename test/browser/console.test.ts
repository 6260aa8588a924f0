import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { onEachEngine, type Site, startPart, startParts, startSystem } from '../support/system.ts'
import { until } from '../support/until.ts'

const BROWSER = [process.env.CHROMIUM_BIN, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
  (path) => path !== undefined && existsSync(path),
)
if (!BROWSER)
  process.stderr.write('The console is not tested: CHROMIUM_BIN and /usr/bin/chromium are no Chromium.\n')

/** Where to put pictures of the console, to look at them. */
const PICTURES = process.env.CONSOLE_PICTURES

const APP = join(import.meta.dirname, '..', 'support', 'poisoned-app.ts')

/** What an event would do if it were ever taken for markup. */
const EVIL = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'

async function open(site: Site, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
  const browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox'] })
  onTestFinished(() => browser.close())
  const page = await (await browser.newContext(options)).newPage()
  page.on('console', (message) => violations.push(`${message.type()}: ${message.text()}`))
  page.on('pageerror', (error) => violations.push(String(error)))
  await page.goto(`${site.http}/console`)
  return page
}

let violations: string[] = []

const read = (site: Site, file: string) => readFileSync(join(site.data, file), 'utf8').trim()

async function signIn(page: Page, token: string): Promise<void> {
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

onEachEngine((newSite) => {
  test.skipIf(!BROWSER)(
    'an operator signs in, sees the system, and deals with a letter; events are text whatever they hold',
    async () => {
      violations = []
      const site = await newSite({ CQRS_APP: APP, CQRS_PROJECTIONS_MAX_ATTEMPTS: '1' })
      const up = await startSystem(site)
      for (const [sku, name] of [
        ['mug-1', 'Mug'],
        ['bad-1', `Broken ${EVIL}`],
        ['bad-2', 'Broken'],
      ]) {
        const body = JSON.stringify({ sku, name, priceCents: 100, quantity: 9 })
        await fetch(`${site.http}/inventory`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        })
      }
      const page = await open(site)
      await signIn(page, 'x'.repeat(43))
      await page.getByText('This is not the operator token').waitFor()
      expect(violations.filter((each) => !each.includes('401'))).toEqual([])
      await signIn(page, read(site, 'ops.token'))
      await page.getByRole('row', { name: /inventory-list parked 3/ }).waitFor()
      await page.getByRole('row', { name: /projections at work .*inventory-list/ }).waitFor()
      await page.getByRole('row', { name: /inventory-list 1 active 3 \d+\.\d KiB/ }).waitFor()
      expect(page.url()).toBe(`${site.http}/console`)
      expect(await page.context().cookies()).toEqual([])

      await page.getByRole('button', { name: 'Open parked:inventory-list:2' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText(EVIL).first().waitFor()
      expect(await page.locator('img, main script').count()).toBe(0)
      expect(await page.title()).toBe('cqrs console')
      if (PICTURES) await page.screenshot({ path: join(PICTURES, 'letter.png') })

      await dialog.getByRole('button', { name: 'Give up' }).click()
      await dialog.getByText('Give a reason').waitFor()
      await dialog.getByLabel('Reason for giving it up').fill('a test <b>of markup</b>')
      await dialog.getByRole('button', { name: 'Give up' }).click()
      await dialog.waitFor({ state: 'hidden' })
      await page.getByRole('row', { name: /ops::dlq-discard .*a test <b>of markup<\/b>/ }).waitFor()
      await until('the letter is gone', async () => {
        return (await page.getByRole('button', { name: 'Open parked:inventory-list:2' }).count()) === 0
      })
      await page.getByRole('button', { name: 'Open parked:inventory-list:3' }).click()
      await dialog.getByRole('button', { name: 'Try again' }).click()
      await page.getByRole('row', { name: /ops::dlq-redrive/ }).waitFor()

      await page.getByRole('button', { name: 'pause the queue default' }).click()
      await page.getByRole('row', { name: /default paused/ }).waitFor()
      await page.getByRole('button', { name: 'resume the queue default' }).click()
      await page.getByRole('row', { name: /default open/ }).waitFor()

      if (PICTURES) {
        for (const scheme of ['light', 'dark'] as const) {
          for (const [name, width] of [
            ['wide', 1_400],
            ['narrow', 380],
          ] as const) {
            await page.emulateMedia({ colorScheme: scheme })
            await page.setViewportSize({ width, height: 900 })
            await page.screenshot({ path: join(PICTURES, `${scheme}-${name}.png`), fullPage: true })
          }
        }
      }
      await page.setViewportSize({ width: 360, height: 800 })
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)

      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.getByLabel('Token').waitFor()
      expect(await page.evaluate('sessionStorage.length')).toBe(0)
      expect(await page.locator('#letters').textContent()).toBe('')
      await signIn(page, read(site, 'ops-read.token'))
      await page.getByRole('button', { name: 'pause the queue default' }).click()
      const refusal = page.getByText('This token is read-only')
      await refusal.waitFor()
      // It stays while everything around it is read again.
      for (let look = 0; look < 2; look += 1) await page.waitForResponse('**/ops/status')
      expect(await refusal.isVisible()).toBe(true)
      const unexpected = violations.filter((each) => !/status of 40[13]/.test(each))
      expect(unexpected).toEqual([])
      await up.end('SIGTERM')
    },
  )

  test.skipIf(!BROWSER)('a rebuild shows in the row of its view, with its phase', async () => {
    violations = []
    const site = await newSite()
    const { projections } = await startParts(site)
    await startPart(site, 'operator')
    const page = await open(site)
    await signIn(page, read(site, 'ops.token'))
    await page.getByRole('row', { name: /inventory-list live/ }).waitFor()
    // While its worker stands still the rebuild does not get on.
    projections.signal('SIGSTOP')
    const rebuild = await fetch(`${site.http}/ops/projections/inventory-list/rebuild`, {
      method: 'POST',
      headers: { authorization: `Bearer ${read(site, 'ops.token')}` },
    })
    expect(rebuild.status).toBe(200)
    await page.getByRole('row', { name: /inventory-list being rebuilt: waiting 0/ }).waitFor()
    await page.getByRole('row', { name: /inventory-list 2 building 0 / }).waitFor()
    await page
      .getByText(/^Left out: parked events of inventory-alert, parked events of inventory-list, /)
      .waitFor()
    projections.signal('SIGCONT')
    await page.getByRole('row', { name: /inventory-list live/ }).waitFor()
    await page.getByRole('row', { name: /inventory-list 2 active 0 / }).waitFor()
    await page.getByText('Left out:').waitFor({ state: 'hidden' })
    expect(violations).toEqual([])
  })

  test('the files of the console come with a policy that lets nothing else in', async () => {
    const site = await newSite()
    const up = await startSystem(site)
    for (const [path, type] of [
      ['/console', 'text/html'],
      ['/console/console.js', 'text/javascript'],
      ['/console/elements.js', 'text/javascript'],
      ['/console/style.css', 'text/css'],
    ]) {
      const response = await fetch(site.http + path)
      expect([response.status, response.headers.get('content-type')]).toEqual([200, `${type}; charset=utf-8`])
      expect(response.headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; script-src 'self';/,
      )
      expect(response.headers.get('x-frame-options')).toBe('DENY')
      expect(await response.text()).not.toContain('innerHTML')
    }
    const slash = await fetch(`${site.http}/console/`)
    expect([slash.status, slash.url, slash.redirected]).toEqual([200, `${site.http}/console`, true])
    await up.end('SIGTERM')
  })
})
