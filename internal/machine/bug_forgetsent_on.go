//go:build weirbug_forgetsent

package machine

const bugForgetSent = true
