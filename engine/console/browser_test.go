package console_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/console"
)

// screensEnv names a folder in which the browser test leaves pictures of the pages, to be looked at.
const screensEnv = "EXPUNGE_TEST_SCREENS"

// browser is one tab of a headless browser on a console.
type browser struct {
	f   *fixture
	ctx context.Context

	mu       sync.Mutex
	problems []string // scripts that failed, what the policy stopped, requests to anywhere else; guarded by mu
}

func startBrowser(f *fixture) *browser {
	f.t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless_shell"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		f.t.Skip("there is no chromium to load the page with")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*hang)
	f.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx,
		chromedp.ExecPath(program), chromedp.UserDataDir(f.t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.WindowSize(1280, 900), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	f.t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx)
	f.t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			f.t.Errorf("close the browser: %v", err)
		}
	})
	b := &browser{f: f, ctx: ctx}
	f.must(chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.problems = append(b.problems, e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				b.problems = append(b.problems, e.Entry.Text+" "+e.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, f.srv.URL+"/") {
				b.problems = append(b.problems, "request to "+e.Request.URL)
			}
		}
	}))
	return b
}

func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.f.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.f.t.Fatal(err)
	}
}

// eval returns what a piece of script in the page is.
func eval[T any](b *browser, script string) T {
	b.f.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	b.f.must(err)
	return v
}

// tabTo presses Tab until an element has the focus, which must be seen to have it.
func (b *browser) tabTo(selector string) {
	b.f.t.Helper()
	for range 60 {
		b.run(chromedp.KeyEvent(kb.Tab))
		if eval[bool](b, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			if eval[string](b, "getComputedStyle(document.activeElement).outlineStyle") == "none" {
				b.f.t.Errorf("%s doesn't show that it has the focus", selector)
			}
			return
		}
	}
	b.f.t.Fatalf("no Tab leads to %s", selector)
}

// screen keeps pictures of a page, light and dark and on a narrow screen, in which nothing may stick out.
func (b *browser) screen(name string) {
	b.f.t.Helper()
	dir := os.Getenv(screensEnv)
	shots := []struct {
		kind, scheme string
		width        int64
	}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"narrow", "light", 360}}
	for _, s := range shots {
		b.run(chromedp.EmulateViewport(s.width, 900))
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.scheme}},
		})
		b.f.must(err)
		if over := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
			b.f.t.Errorf("%s, %s: the page is %d pixels too wide", name, s.kind, over)
		}
		if dir != "" {
			picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			b.f.must(err)
			b.f.must(os.WriteFile(filepath.Join(dir, name+"-"+s.kind+".png"), picture, 0o600))
		}
	}
	b.run(chromedp.EmulateViewport(1280, 900))
}

func (b *browser) check() {
	b.f.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.f.t.Errorf("the browser says: %s", p)
	}
}

// TestBrowser goes the way of somebody without a mouse: log in, fill in the form, look at the dry run, delete, watch the
// job, read its receipt. Nothing is loaded from elsewhere, and no script fails.
func TestBrowser(t *testing.T) {
	f := setup(t, console.Options{Token: token})
	b := startBrowser(f)
	listFile := filepath.Join(t.TempDir(), "leavers.csv")
	f.must(os.WriteFile(listFile, []byte(list(1, 2, 2, 99)), 0o600))
	badFile := filepath.Join(t.TempDir(), "bad.csv")
	f.must(os.WriteFile(badFile, []byte("USER_ID\n"+secret+"-1\n\"open\n"), 0o600))

	b.run(chromedp.Navigate(f.srv.URL + "/console/jobs/data-deletion-job/none"))
	b.screen("login")
	b.mu.Lock()
	b.problems = nil // the status 401 is one, and right
	b.mu.Unlock()
	b.run(chromedp.Navigate(f.srv.URL+"/?token="+token), chromedp.WaitVisible(chromedp.CSS("#delete")))
	if at := eval[string](b, "location.href"); at != f.srv.URL+"/" {
		t.Errorf("after the login the address is %s", at)
	}
	b.run(chromedp.KeyEvent(kb.Tab))
	if text := eval[string](b, "document.activeElement.textContent"); text != "Skip to content" {
		t.Errorf("the first Tab leads to %q", text)
	}

	b.tabTo("#group")
	b.run(chromedp.KeyEvent("sh"))
	b.tabTo("#jobName")
	b.run(chromedp.KeyEvent("by-keyboard"))
	b.tabTo("#list")
	b.run(chromedp.SetUploadFiles(chromedp.CSS("#list"), []string{listFile}))
	b.tabTo("button:not([formaction])")
	b.run(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#delete-form")))
	if text := eval[string](b, "document.querySelector('.tiles').innerText"); !strings.Contains(text, "8") || !strings.Contains(text, "rows would be deleted") {
		t.Errorf("the dry run says %q", text)
	}
	b.screen("dryrun")

	sn, err := f.e.Snapshot(context.Background(), "shop") // holds the job, so that it is seen under way
	f.must(err)
	b.tabTo("button.danger")
	b.run(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(".status.IN_PROGRESS")),
		chromedp.Poll[chromedp.Void]("document.querySelector('.live')?.textContent.includes('snapshot')"))
	b.screen("running")
	if at := eval[string](b, "window.mark = 'same page'; location.pathname"); at != "/console/jobs/data-deletion-job/by-keyboard" {
		t.Errorf("the job's page is %s", at)
	}
	sn.Release()
	b.run(chromedp.WaitVisible(chromedp.CSS(".status.COMPLETED")), chromedp.WaitVisible(chromedp.CSS(".receipt-title")), chromedp.WaitVisible(chromedp.CSS(".chart svg")))
	if eval[string](b, "window.mark") != "same page" {
		t.Error("the page was loaded again and not brought up to date")
	}
	if said := eval[string](b, "document.getElementById('announce').textContent"); said != "Job by-keyboard is COMPLETED" {
		t.Errorf("what is read aloud is %q", said)
	}
	entry, err := f.e.Receipt(context.Background(), "by-keyboard")
	f.must(err)
	if text := eval[string](b, "document.querySelector('main').innerText"); !strings.Contains(text, entry.Digest()) || entry.NumDeleted != 8 {
		t.Errorf("the receipt of %d rows isn't shown", entry.NumDeleted)
	}
	b.screen("receipt")
	b.tabTo("a[download]")

	// A list that is bad, sent at once.
	b.run(chromedp.Navigate(f.srv.URL+"/"), chromedp.WaitVisible(chromedp.CSS("#delete")), chromedp.SetUploadFiles(chromedp.CSS("#list"), []string{badFile}))
	b.tabTo("button[formaction]")
	b.run(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#failure")))
	if text := eval[string](b, "document.getElementById('failure').textContent"); !strings.Contains(text, "line 3") {
		t.Errorf("the failure says %q", text)
	}
	b.screen("failed")

	// A job that somebody else creates comes into the list, and the focus stays.
	b.run(chromedp.Navigate(f.srv.URL+"/"), chromedp.WaitVisible(chromedp.CSS("#job-rows tr")))
	b.tabTo("#job-rows tr:last-child a")
	before := eval[string](b, "window.mark = 'same page'; document.activeElement.textContent")
	_, err = f.e.Delete(context.Background(), engine.NewDataDeletionJob{Name: "from-elsewhere", Group: "shop", Source: listFile})
	f.must(err)
	b.run(chromedp.Poll[chromedp.Void]("document.querySelector('#job-rows tr a').textContent === 'from-elsewhere'"))
	if row := eval[string](b, "document.querySelector('#job-rows tr').innerText"); !strings.Contains(row, "COMPLETED") || !strings.Contains(row, "0 deleted") {
		t.Errorf("its row is %q", row)
	}
	if now := eval[string](b, "document.activeElement.textContent"); now != before || eval[string](b, "window.mark") != "same page" {
		t.Errorf("the focus went from %q to %q", before, now)
	}
	b.screen("index")
	b.check()
	eventually(t, "no list is left", func() bool { return len(f.lists()) == 0 })
}
