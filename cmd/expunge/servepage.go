package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// token returns what browsers and Prometheus have to show; "" if nothing, as on a server that only this machine reaches.
func (s *service) token() (string, error) {
	if s.tokenFile != "" {
		info, err := os.Stat(s.tokenFile)
		if err != nil {
			return "", fmt.Errorf("read --token-file: %w", err)
		}
		// As with the keys: who has it may delete users.
		if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
			return "", nextStep(errors.New("others than its owner may use the --token-file"), "chmod 600 it, and make a new token if others could have read it.")
		}
		text, err := os.ReadFile(s.tokenFile)
		if err != nil {
			return "", fmt.Errorf("read --token-file: %w", err)
		}
		token := strings.TrimSpace(string(text))
		if len(token) < 16 || strings.ContainsAny(token, " \t\r\n") {
			return "", nextStep(errors.New("the token in --token-file must be one line of 16 characters or more, without blanks"),
				"Make one: (umask 077; openssl rand -hex 32 >token)")
		}
		return token, nil
	}
	if s.keys == "" {
		return "", nil
	}
	return rand.Text(), nil
}

// allowedHosts are the names that browsers may call the server by: another name that leads here is that of a page which was
// made to. nil are those of this machine.
func (s *service) allowedHosts(at net.Addr) []string {
	if s.keys == "" && len(s.hosts) == 0 {
		return nil
	}
	hosts := append([]string{"localhost", "127.0.0.1", "::1"}, s.hosts...)
	for _, address := range []string{at.String(), s.listen} {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
			continue
		}
		hosts = append(hosts, host)
	}
	return hosts
}
