// Looks at the status page as people do: narrow and wide, light and dark. One line of JSON at the end.
//   node check.mjs URL CHROMIUM DIRECTORY-FOR-PICTURES
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const require = createRequire(process.cwd() + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [url, executablePath, pictures] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const report = { violations: [], overflows: [], elsewhere: [], errors: [], texts: "" };
try {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [360, 1280]) {
      const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme, bypassCSP: true });
      page.setDefaultTimeout(300000);
      page.on("request", request => { if (!request.url().startsWith(url) && !request.url().startsWith("data:")) report.elsewhere.push(request.url()); });
      page.on("pageerror", error => report.errors.push(String(error)));
      page.on("console", message => { if (message.type() === "error") report.errors.push(message.text()); });
      await page.goto(url);
      await page.waitForFunction(() => document.getElementById("live").textContent === "live", null, { timeout: 300000 });
      await page.waitForFunction(() => document.querySelectorAll("svg").length > 1, null, { timeout: 300000 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      if (wide > width) report.overflows.push({ width, colorScheme, wide });
      await page.addScriptTag({ content: axe });
      const found = await page.evaluate(() => axe.run(document));
      report.violations.push(...found.violations.map(each => ({ id: each.id, width, colorScheme,
        nodes: each.nodes.slice(0, 3).map(node => node.html) })));
      report.passes = found.passes.length;
      report.texts = await page.evaluate(() => document.body.innerText);
      await page.screenshot({ path: `${pictures}/page-${width}-${colorScheme}.png`, fullPage: true });
      await page.close();
    }
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));
