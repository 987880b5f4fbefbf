package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine/console"
)

func TestHostAndOrigin(t *testing.T) {
	const own = "(own)" // stands for the server's address
	f := setup(t, console.Options{})
	for _, tc := range []struct {
		name, method, host, origin, site, mode, dest string
		allowed                                      []string
		ok                                           bool
	}{
		{name: "plain", ok: true},
		{name: "localhost", host: "localhost:1", ok: true},
		{name: "localhost in capitals", host: "LOCALHOST:1", ok: true},
		{name: "another loopback address", host: "127.9.9.9", ok: true},
		{name: "IPv6", host: "[::1]:8080", ok: true},
		{name: "IPv6 without a port", host: "[::1]", ok: true},
		{name: "DNS rebinding", host: "evil.example:80"},
		{name: "a name that begins like ours", host: "localhost.evil.example"},
		{name: "an address in a name", host: "127.0.0.1.evil.example"},
		{name: "an address of the network", host: "192.168.1.10:8080"},
		{name: "the unspecified address", host: "0.0.0.0:8080"},
		{name: "allowed name", host: "shop.example:8443", allowed: []string{"shop.example"}, ok: true},
		{name: "allowed name and port", host: "shop.example:8443", allowed: []string{"shop.example:8443"}, ok: true},
		{name: "another port", host: "shop.example:80", allowed: []string{"shop.example:8443"}},
		{name: "localhost when names are given", host: "localhost", allowed: []string{"shop.example"}},

		{name: "own origin", origin: own, ok: true},
		{name: "own origin by TLS in front", host: "shop.example", origin: "https://shop.example", allowed: []string{"shop.example"}, ok: true},
		{name: "foreign origin", origin: "http://evil.example"},
		{name: "another port of this host", origin: "http://127.0.0.1:1"},
		{name: "null origin", origin: "null"},
		{name: "an origin of another scheme", origin: "ftp://" + own},
		{name: "an origin that isn't one", origin: "://"},

		{name: "own page", site: "same-origin", ok: true},
		{name: "typed in", site: "none", mode: "navigate", dest: "document", ok: true},
		{name: "a link from elsewhere", site: "cross-site", mode: "navigate", dest: "document", ok: true},
		{name: "a frame elsewhere", site: "cross-site", mode: "navigate", dest: "iframe"},
		{name: "fetched from elsewhere", site: "cross-site", mode: "cors", dest: "empty"},
		{name: "an image elsewhere", site: "cross-site", mode: "no-cors", dest: "image"},
		{name: "another port's page", site: "same-site", mode: "cors", dest: "empty"},

		{name: "post from our page", method: "POST", origin: own, ok: true},
		{name: "post that says same-origin", method: "POST", site: "same-origin", ok: true},
		{name: "post from nowhere", method: "POST"},
		{name: "post from elsewhere", method: "POST", origin: "http://evil.example"},
		{name: "form of another site", method: "POST", origin: own, site: "cross-site", mode: "navigate", dest: "document"},
		{name: "post that was typed in", method: "POST", site: "none"},
		{name: "put from nowhere", method: "PUT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.closeConsole()
			f.opts.AllowedHosts = tc.allowed
			f.openConsole()
			method := tc.method
			if method == "" {
				method = http.MethodGet
			}
			for _, path := range []string{"/", "/console/api/jobs", "/console/assets/console.css", "/console/deletions", "/console/login"} {
				got := f.do(method, path, "", nil, func(r *http.Request) {
					r.Header.Del("Origin")
					if tc.host != "" {
						r.Host = tc.host
					}
					for name, value := range map[string]string{
						"Origin":         strings.ReplaceAll(strings.ReplaceAll(tc.origin, "ftp://"+own, "ftp://"+r.URL.Host), own, "http://"+r.URL.Host),
						"Sec-Fetch-Site": tc.site, "Sec-Fetch-Mode": tc.mode, "Sec-Fetch-Dest": tc.dest,
					} {
						if value != "" {
							r.Header.Set(name, value)
						}
					}
				})
				if refused := got.status == http.StatusForbidden; refused == tc.ok {
					t.Errorf("%s %s: status %d", method, path, got.status)
				}
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	f := setup(t, console.Options{})
	for _, path := range []string{
		"/", "/console/assets/console.css", "/console/assets/console.js", "/console/assets/receipt.css", "/console/assets/icon.svg",
		"/console/api/jobs", "/console/api/jobs/x/y", "/console/nothing", "/console/assets/nothing",
	} {
		got := f.get(path)
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if have := got.header.Get(name); have != want {
				t.Errorf("%s: %s is %q, want %q", path, name, have, want)
			}
		}
		csp := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		for _, not := range []string{"<style", "style=", "onclick", "http://", "https://"} {
			if strings.Contains(got.header.Get("Content-Type"), "html") && strings.Contains(got.body, not) {
				t.Errorf("%s has %q, which its policy forbids", path, not)
			}
		}
	}
	f.get("/console/nothing").want(t, http.StatusNotFound, "There is nothing at this address.")
	f.get("/console/api/nothing").want(t, http.StatusNotFound, `{"error":"There is nothing at this address."}`)
}

const token = "correct-horse-battery"

func TestToken(t *testing.T) {
	f := setup(t, console.Options{Token: token})
	pages := []string{"/", "/console/jobs/data-deletion-job/x", "/console/receipts/x", "/console/dry-runs/x", "/console/nothing"}
	with := func(header, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(header, value) }
	}
	for _, path := range pages {
		f.get(path).want(t, http.StatusUnauthorized, "Log in", "Token")
		for _, wrong := range []string{"Bearer", "Bearer x", "Bearer " + token + "x", "Basic " + token, token} {
			f.do("GET", path, "", nil, with("Authorization", wrong)).want(t, http.StatusUnauthorized)
		}
		f.do("GET", path, "", nil, with("Cookie", "expunge_x="+token)).want(t, http.StatusUnauthorized)
		if got := f.do("GET", path, "", nil, with("Authorization", "Bearer "+token)); got.status == http.StatusUnauthorized {
			t.Errorf("%s doesn't take the token", path)
		}
	}
	f.get("/console/api/jobs").want(t, http.StatusUnauthorized, `{"error":`)
	f.get("/console/assets/console.css").want(t, http.StatusOK)
	f.send("/console/deletions", "shop", "", "list.csv", list(1)).want(t, http.StatusUnauthorized)
	f.send("/console/dry-runs", "shop", "", "list.csv", list(1)).want(t, http.StatusUnauthorized)
	if names := f.lists(); len(names) > 0 {
		t.Errorf("a list was stored without the token: %v", names)
	}

	f.post("/console/login", "token=wrong").want(t, http.StatusUnauthorized, "This isn&#39;t the token")
	f.post("/console/login", "token="+strings.Repeat("x", 100_000)).want(t, http.StatusBadRequest)
	for next, want := range map[string]string{
		"": "/", "/console/jobs/data-deletion-job/x": "/console/jobs/data-deletion-job/x", "//evil.example": "/",
		"https://evil.example": "/", "/console/\\evil.example": "/", "/other": "/",
	} {
		got := f.post("/console/login", "token="+token+"&next="+next)
		got.want(t, http.StatusSeeOther)
		if got.location != want {
			t.Errorf("login leads from %q to %q, want %q", next, got.location, want)
		}
	}

	got := f.get("/?token=" + token)
	got.want(t, http.StatusSeeOther)
	cookie := got.header.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %q isn't %s", cookie, want)
		}
	}
	if got.location != "/" || strings.Contains(cookie, token) {
		t.Errorf("the link leads to %q with the cookie %q", got.location, cookie)
	}
	f.get("/?token="+token).want(t, http.StatusUnauthorized, "This link was used before")
	logged := with("Cookie", strings.Split(cookie, ";")[0])
	f.do("GET", "/", "", nil, logged).want(t, http.StatusOK, "Log out", "shop-users")
	f.do("GET", "/console/api/jobs", "", nil, logged).want(t, http.StatusOK)
	if got := f.do("GET", "/?token=wrong", "", nil, logged); got.status != http.StatusSeeOther {
		t.Errorf("who is logged in isn't led away from a token in the address: %d", got.status)
	}
	out := f.do("POST", "/console/logout", "", nil, logged)
	if !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logging out keeps the cookie: %q", out.header.Get("Set-Cookie"))
	}
	// A program that shows the token needn't say where it comes from.
	f.do("POST", "/console/logout", "", nil, func(r *http.Request) {
		r.Header.Del("Origin")
		r.Header.Set("Authorization", "bearer "+token)
	}).want(t, http.StatusSeeOther)
	if strings.Contains(f.log.String(), token) {
		t.Error("the log has the token")
	}
}

func TestOptions(t *testing.T) {
	f := setup(t, console.Options{})
	_, err := console.New(f.e, console.Options{Token: "short", MaxUpload: -1, AllowedHosts: []string{""}})
	for _, want := range []string{"less than 16 characters", "negative", "allowed host is empty"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if _, err := console.New(f.e, f.opts); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("two consoles share a folder: %v", err)
	}
	if _, err := console.New(f.e, console.Options{UploadDir: f.path}); err == nil {
		t.Error("a file is taken for a folder")
	}
	c, err := console.New(f.e, console.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing it again: %v", err)
	}
}
