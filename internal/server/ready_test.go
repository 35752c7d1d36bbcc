package server

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// get asks for a page and returns its status and text.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestReadiness: a node says that it is not ready until its tablets have
// leaders, and again from the moment it is told to stop, while it still serves.
func TestReadiness(t *testing.T) {
	s := start(t, nil)
	ready, health := "http://"+s.Addresses().Console+"/readyz", "http://"+s.Addresses().AWS+"/healthz"
	for begun := time.Now(); s.Ready() != nil; time.Sleep(time.Millisecond) { // a real node: there is nothing to wait on
		if time.Since(begun) > 20*time.Second {
			t.Fatal(s.Ready())
		}
	}
	for _, url := range []string{ready, health} {
		if code, text := get(t, url); code != 200 {
			t.Errorf("%s: %d %s", url, code, text)
		}
	}
	served := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		s.Drain(ctx, time.Hour)
		close(served)
	}()
	for s.Ready() == nil {
		time.Sleep(time.Millisecond)
	}
	for _, url := range []string{ready, health} {
		if code, text := get(t, url); code != 503 || !strings.Contains(text, "about to stop") {
			t.Errorf("%s of a node that is about to stop: %d %s", url, code, text)
		}
	}
	if code, text := get(t, "http://"+s.Addresses().Console+"/api/status"); code != 200 {
		t.Errorf("it does not serve any more: %d %s", code, text)
	}
	cancel()
	<-served
}
