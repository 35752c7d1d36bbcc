package main

import (
	"os"
	"strings"
	"testing"
)

// TestForcedFailoverAsks answers the question of a forced failover: with
// anything but yes the failover is not carried out, nor asked of the server.
func TestForcedFailoverAsks(t *testing.T) {
	east, west := startRegion(t), startRegion(t)
	eastAt, westAt := "--console="+east.Addresses().Console, "--console="+west.Addresses().Console
	regionClient(t, east).create("orders")
	token, err := output(t, func() error { return dispatch([]string{"region", "token", "from-east", westAt}) })
	if err != nil {
		t.Fatal(err)
	}
	add := []string{"region", "link", "add", "to-west", "--to=" + west.Addresses().Peer, "--token=" + strings.TrimSpace(token), "--tables=orders", eastAt}
	if err := dispatch(add); err != nil {
		t.Fatal(err)
	}
	regionClient(t, east).put("orders", "a", "1")
	w := regionClient(t, west)
	w.want("orders", "a", "1")
	roles := func() string {
		t.Helper()
		out, err := output(t, func() error { return dispatch([]string{"region", "status", eastAt}) })
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	forced := []string{"region", "failover", "from-east", "--forced", westAt}
	for _, answer := range []string{"no\n", "y\n", "yes please\n", ""} {
		asked, err := answered(t, answer, func() error { return dispatch(forced) })
		if err == nil || !strings.Contains(err.Error(), "nothing was done") || !strings.Contains(asked, "Type yes to go on") || !strings.Contains(asked, "ships from-east here") {
			t.Fatalf("answer %q: %v; asked %q", answer, err, asked)
		}
	}
	if out := roles(); strings.Contains(out, "passive") || strings.Contains(out, "stuck") {
		t.Fatalf("a failover that was not confirmed was carried out:\n%s", out)
	}
	if _, err := answered(t, "yes\n", func() error { return dispatch(forced) }); err != nil {
		t.Fatal(err)
	}
	w.put("orders", "b", "2")
	regionClient(t, east).refuses("orders") // it hears of the new epoch from its own link
}

// answered runs f with a text as its standard input, and returns what it says on
// its standard error.
func answered(t *testing.T, text string, f func() error) (asked string, err error) {
	t.Helper()
	in, give, perr := os.Pipe()
	if perr != nil {
		t.Fatal(perr)
	}
	if _, perr = give.WriteString(text); perr != nil || give.Close() != nil {
		t.Fatal(perr)
	}
	heard, say, perr := os.Pipe()
	if perr != nil {
		t.Fatal(perr)
	}
	stdin, stderr := os.Stdin, os.Stderr
	os.Stdin, os.Stderr = in, say
	_, err = output(t, f)
	os.Stdin, os.Stderr = stdin, stderr
	_ = say.Close()
	buf := make([]byte, 64<<10)
	n, _ := heard.Read(buf)
	return string(buf[:n]), err
}
