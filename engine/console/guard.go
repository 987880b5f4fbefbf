package console

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// setHeaders sets what every answer has: no script or style but our own files, no frame around it, no copy of it kept.
// The referrer policy isn't no-referrer, with which browsers send "Origin: null" along with our own forms.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// foreign says why a request is refused whoever makes it, "" if it isn't. The host is checked since a name that somebody
// else points to this machine makes their page one of the same origin.
func (c *Console) foreign(r *http.Request) string {
	if !c.hostAllowed(r.Host) {
		return "The request is for a host name that this server isn't known by. Use one that is allowed."
	}
	origins := r.Header.Values("Origin")
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || !strings.EqualFold(u.Host, r.Host) {
			return "The request comes from a page of another origin."
		}
	}
	site := r.Header.Get("Sec-Fetch-Site")
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch site {
	case "", "none", "same-origin":
	default:
		// A link on another page may lead here; nothing else of it may.
		if !read || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document" {
			return "The request comes from a page of another site."
		}
	}
	if !read && len(origins) == 0 && site != "same-origin" && !c.auth.hasBearer(r) {
		return "The request doesn't say where it comes from: send an Origin, or the token in an Authorization header."
	}
	return ""
}

// hostAllowed reports whether a Host header names this server.
func (c *Console) hostAllowed(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if c.opts.AllowedHosts == nil {
		ip, err := netip.ParseAddr(host)
		return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
	}
	for _, allowed := range c.opts.AllowedHosts {
		if strings.EqualFold(allowed, host) || strings.EqualFold(allowed, hostport) {
			return true
		}
	}
	return false
}
