package front

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// CheckOpen refuses to serve without access keys on an address that others can
// reach, unless insecure is set. addrs are the HOST:PORT of every listener.
func CheckOpen(addrs []string, haveKeys, insecure bool) error {
	if haveKeys || insecure {
		return nil
	}
	for _, addr := range addrs {
		if !isLoopback(addr) {
			return fmt.Errorf("cannot listen on %s without access keys, as anyone who reaches it could read and write everything: "+
				"configure keys, listen on 127.0.0.1, or pass --insecure", addr)
		}
	}
	return nil
}

// isLoopback reports whether only this machine can connect to addr. A name
// other than localhost is not looked up: what it means may change.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// localSuffixes are names that nobody outside can make point here: reserved by
// RFC 6761, RFC 6762 and ICANN.
var localSuffixes = []string{".localhost", ".local", ".internal", ".test"}

// isLocalHost reports whether a Host header names this machine in a way that a
// web page elsewhere cannot: by an address, a name without a dot, or under a
// reserved suffix. Anything else may be a foreign name that was rebound to
// 127.0.0.1 (DNS rebinding).
func isLocalHost(host []byte) bool {
	name := string(host)
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if _, err := netip.ParseAddr(name); err == nil || !strings.Contains(name, ".") {
		return true
	}
	for _, suffix := range localSuffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// fromPage reports whether a browser sent the request for a web page.
func (h *head) fromPage() bool {
	return h.origin != nil || (h.fetchSite != nil && !bytes.Equal(h.fetchSite, []byte("none")))
}
