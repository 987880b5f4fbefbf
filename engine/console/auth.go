package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"sync/atomic"
)

const loginPath = "/console/login"

// auth knows who has shown the token. The cookie holds no token but a value that is made of it, so one that is stolen is no
// use elsewhere, and it stays valid over a restart with the same token.
type auth struct {
	token   string // "": everybody may do everything
	cookie  string // its name: of the token too, since servers on other ports of this host share the cookies
	session string // its value
	linked  atomic.Bool
}

func newAuth(token string) *auth {
	derive := func(use string) string {
		mac := hmac.New(sha256.New, []byte(token))
		mac.Write([]byte(use))
		return hex.EncodeToString(mac.Sum(nil))
	}
	return &auth{token: token, cookie: "expunge_" + derive("cookie name")[:8], session: derive("session")}
}

// allows reports whether a request shows the token, or needn't.
func (a *auth) allows(r *http.Request) bool {
	if a.token == "" || a.hasBearer(r) {
		return true
	}
	for _, c := range r.CookiesNamed(a.cookie) {
		if same(c.Value, a.session) {
			return true
		}
	}
	return false
}

// hasBearer reports whether a request has the token in its Authorization header.
func (a *auth) hasBearer(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return a.token != "" && strings.EqualFold(scheme, "Bearer") && same(strings.TrimSpace(token), a.token)
}

// same compares in a time that tells nothing of want, not even its length.
func same(got, want string) bool {
	g, w := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(g[:], w[:]) == 1
}

func (a *auth) setCookie(w http.ResponseWriter, r *http.Request, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: a.cookie, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	})
}

// maxForm is the most bytes of a form without a file.
const maxForm = 64 << 10

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		c.fail(w, r, http.StatusBadRequest, "The form can't be read.")
		return
	}
	if c.auth.token != "" && !same(strings.TrimSpace(r.PostForm.Get("token")), c.auth.token) {
		c.log.Warn("login with a wrong token")
		c.askForToken(w, r, "This isn't the token. The server printed it when it started.")
		return
	}
	c.auth.setCookie(w, r, c.auth.session, 0)
	http.Redirect(w, r, afterLogin(r.PostForm.Get("next")), http.StatusSeeOther)
}

// afterLogin returns the page of ours that was asked for, never an address elsewhere.
func afterLogin(next string) string {
	if strings.HasPrefix(next, "/console/") && !strings.ContainsAny(next, "\\\r\n") {
		return next
	}
	return "/"
}

// loginByLink takes the token from the address, once, and leads away from it.
func (c *Console) loginByLink(w http.ResponseWriter, r *http.Request) {
	switch {
	case c.auth.allows(r):
	case same(r.URL.Query().Get("token"), c.auth.token) && c.auth.linked.CompareAndSwap(false, true):
		c.auth.setCookie(w, r, c.auth.session, 0)
	default:
		c.askForToken(w, r, "This link was used before, or its token is wrong. Enter the token instead.")
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	c.auth.setCookie(w, r, "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// askForToken answers a request that doesn't show the token.
func (c *Console) askForToken(w http.ResponseWriter, r *http.Request, problem string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="expunge"`)
	if isAPI(r) {
		c.fail(w, r, http.StatusUnauthorized, "The token is missing or wrong.")
		return
	}
	next := ""
	if r.Method == http.MethodGet {
		next = r.URL.Path
	}
	c.render(w, http.StatusUnauthorized, "login", page{Title: "Log in", Content: struct{ Problem, Next string }{problem, next}})
}
