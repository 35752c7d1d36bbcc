//go:build weirbug_dedupe

package machine

const bugForgetRequests = true
