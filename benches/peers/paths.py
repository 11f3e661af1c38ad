"""The loops of diffusion models in PyTorch: the prior's update, RTB's update in two ways, and closed episodes.

`rtb_64x20` is the update as we would write it in PyTorch: stored paths, all steps in one batch. `rtb_update` is a whole update in the
way of the public code of the paper (arXiv:2405.20971): the posterior is sampled step by step with its graph, the prior is
evaluated step by step beside it, one backward pass runs through all steps. Sizes and numbers of paths are ours. `rtb_public` has
a twin critic as its reward and adds, as the public code does, the critic's scaled gradient to every step.
"""

PATHS, GROUP, STEPS = 64, 8, 20
NET = [87, 256, 256, 256, 6]


def prior(torch, perceptron, compiled):
    """Denoising loss on 256 samples, Adam, moving average of the weights."""
    net = perceptron(torch, NET, torch.nn.SiLU)
    average = [p.detach().clone() for p in net.parameters()]
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-4, fused=True)
    table, level = torch.randn(STEPS, 16), torch.linspace(0.05, 0.95, STEPS)
    sample, condition = torch.randn(256, 6), torch.randn(256, 65)

    @compiled
    def loss_of(step, noise):
        signal, spread = level[step].sqrt()[:, None], (1 - level[step]).sqrt()[:, None]
        state, target = signal * sample + spread * noise, signal * noise - spread * sample
        out = net(torch.cat([state, table[step], condition], 1))
        return torch.nn.functional.mse_loss(out, target)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_of(torch.randint(STEPS, (256,)), torch.randn(256, 6)).backward()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, list(net.parameters()), 0.005)

    return step


def vargrad(delta_free):
    """Leave-one-out residuals of ℓ in groups, and their square loss's weights."""
    grouped = delta_free.view(-1, GROUP)
    others = (grouped.sum(1, keepdim=True) - grouped) / (GROUP - 1)
    return (others - grouped).flatten() / delta_free.numel()


def stored(torch, perceptron, compiled):
    """64 stored paths of 20 steps: both networks on all steps at once, weights of VarGrad, backward, Adam."""
    prior_net, net = (perceptron(torch, NET, torch.nn.SiLU) for _ in range(2))
    net.load_state_dict(prior_net.state_dict())
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-4, fused=True)
    rows = PATHS * STEPS
    states, after = torch.randn(rows, 6), torch.randn(rows, 6)
    table = torch.randn(STEPS, 16).repeat_interleave(PATHS, 0)
    condition = torch.randn(PATHS, 65).repeat(STEPS, 1)
    reward = torch.full((PATHS,), 0.5)

    def scores(network):
        out = network(torch.cat([states, table, condition], 1))
        z = (0.9 * states + 0.1 * out - after) / 0.1
        return (-0.5 * (z * z).sum(1)).view(STEPS, PATHS).sum(0)

    tracked, free = compiled(lambda: scores(net)), compiled(lambda: scores(prior_net))

    def step():
        optimizer.zero_grad(set_to_none=True)
        q = tracked()
        with torch.no_grad():
            weights = vargrad(reward + free() - q.detach())
        (weights * q).sum().backward()
        optimizer.step()

    return step


def twin(torch, perceptron, compiled):
    """The lower of two critics of 65 observations and 6 actions, and its gradient with respect to the actions."""
    nets = [perceptron(torch, [71, 256, 256, 1], torch.nn.SiLU).requires_grad_(False) for _ in range(2)]
    value = compiled(lambda pairs: torch.minimum(nets[0](pairs), nets[1](pairs))[:, 0])

    def gradient(condition, x):
        action = x.detach().requires_grad_()
        return torch.autograd.grad(value(torch.cat([condition, action], 1)).sum(), action)[0]

    return value, gradient


def update(torch, perceptron, compiled, guided=False):
    """A whole update: 64 paths sampled with the graph of every step, the prior beside them, backward through all, Adam."""
    prior_net, net = (perceptron(torch, NET, torch.nn.SiLU) for _ in range(2))
    net.load_state_dict(prior_net.state_dict())
    scale = torch.nn.Parameter(torch.tensor(0.01))
    optimizer = torch.optim.Adam([*net.parameters()] + [scale] * guided, lr=3e-4, fused=True)
    table = torch.randn(STEPS, 16)
    condition = torch.randn(PATHS // GROUP, 65).repeat_interleave(GROUP, 0)
    forward, frozen = compiled(net), compiled(prior_net)
    value, gradient = twin(torch, perceptron, compiled)

    def step():
        optimizer.zero_grad(set_to_none=True)
        x = torch.randn(PATHS, 6)
        q, p = torch.zeros(PATHS), torch.zeros(PATHS)
        for k in range(STEPS):
            inputs = torch.cat([x, table[k].expand(PATHS, 16), condition], 1)
            out = forward(inputs)
            if guided:
                out = out + scale * gradient(condition, x)
            mean = 0.9 * x + 0.1 * out
            after = (mean + 0.1 * torch.randn(PATHS, 6)).detach()
            q = q - 0.5 * (((after - mean) / 0.1) ** 2).sum(1)
            with torch.no_grad():
                other = 0.9 * x + 0.1 * frozen(inputs)
                p = p - 0.5 * (((after - other) / 0.1) ** 2).sum(1)
            x = after
        with torch.no_grad():
            reward = value(torch.cat([condition, x], 1)) if guided else -0.1 * (x * x).sum(1)
            grouped = (reward + p - q).view(-1, GROUP)
            log_z = grouped.mean(1, keepdim=True).expand(-1, GROUP).flatten()
        (0.5 * (log_z + q - p - reward) ** 2).mean().backward()
        optimizer.step()

    return step


def public(torch, perceptron, compiled):
    """The update as the public code does it, with the critic's gradient in every step."""
    return update(torch, perceptron, compiled, guided=True)


def evaluation(torch, perceptron, compiled, threads):
    """One timestep of 64 half-cheetahs of envpool under a policy of 20 denoising steps."""
    import envpool

    count = 64
    envs = envpool.make("HalfCheetah-v4", env_type="gymnasium", num_envs=count, num_threads=threads)
    observations, _ = envs.reset()
    net = compiled(perceptron(torch, [6 + 16 + 17, 256, 256, 256, 6], torch.nn.SiLU).eval())
    table = torch.randn(STEPS, 16)
    holder = [observations]

    def step():
        with torch.inference_mode():
            condition = torch.from_numpy(holder[0]).float()
            x = torch.randn(count, 6)
            for k in range(STEPS):
                out = net(torch.cat([x, table[k].expand(count, 16), condition], 1))
                x = 0.9 * x + 0.1 * out + 0.1 * torch.randn(count, 6)
            actions = x.tanh().double().numpy()
        holder[0] = envs.step(actions)[0]

    return step
