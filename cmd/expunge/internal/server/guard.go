package server

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// guard is for a server that checks no signatures and so is open to the programs of its machine alone. A browser on the
// machine runs the programs of others, too: one from an address that was made to point here names that address as host,
// and one from another page names that page as origin. Both are refused, except for the names in hosts.
func guard(next http.Handler, hosts []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := func(name string) bool { return strings.EqualFold(name, hostname(r.Host)) }
		if !isLoopback(r.Host) && !slices.ContainsFunc(hosts, known) {
			http.Error(w, "The Host header must be a loopback address, localhost or one of --host: this server checks no signatures.", http.StatusForbidden)
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" {
			u, err := url.Parse(origin)
			if err != nil || u.Host != r.Host {
				http.Error(w, "The Origin header must be this server.", http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopback reports whether a host, with a port or without, is this machine by its form. No name is looked up.
func isLoopback(host string) bool {
	host = hostname(host)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// hostname is a Host header without the port.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

// Loopback reports whether only programs of this machine reach a listener's address.
func Loopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
