// Command wan stands a faultnet proxy before an address, for programs that
// cannot import it: wan --to 127.0.0.1:4590 --delay 25ms prints where it listens
// and delays every byte, each way, until it is ended.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/faultnet"
)

func main() {
	to := flag.String("to", "", "`HOST:PORT` to pass connections on to")
	delay := flag.Duration("delay", 0, "`TIME` that bytes take, each way")
	bytesPerSecond := flag.Int("bytes-per-second", 0, "`BYTES` per second of each connection, each way; 0 is no bound")
	flag.Parse()
	p, err := faultnet.Listen(*to, base.SystemClock{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "wan:", err)
		os.Exit(1)
	}
	p.Set(faultnet.Both, faultnet.Fault{Delay: *delay, BytesPerSecond: *bytesPerSecond})
	fmt.Println(p.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
}
