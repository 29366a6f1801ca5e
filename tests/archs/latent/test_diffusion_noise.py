from prismsr.archs.latent.noise import add_noise, draw_noise, make_signal_levels, predict_clean, sample_latents

import torch


def test_noise_follows_the_schedule_and_can_be_taken_back():
    levels, latents = make_signal_levels(), torch.randn(3, 4, 5, 5, dtype=torch.float64)
    noise, t = torch.randn_like(latents), torch.tensor([0, 500, 999])
    z_t = add_noise(latents, noise, levels[t].double())
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    level = (1 - betas[:501]).prod()
    assert torch.allclose(z_t[1], level.sqrt() * latents[1] + (1 - level).sqrt() * noise[1], atol=1e-5)
    assert torch.allclose(predict_clean(z_t, noise, levels[t].double()), latents)


def test_draws_come_from_the_global_generator_and_cover_all_timesteps():
    torch.manual_seed(0)
    one = draw_noise(torch.Size((4000, 1, 1, 1)), torch.device("cpu"))
    torch.manual_seed(0)
    other = draw_noise(torch.Size((4000, 1, 1, 1)), torch.device("cpu"))
    assert all(torch.equal(one[name], other[name]) for name in ("posterior", "noise", "timesteps"))
    assert one["timesteps"].min() < 5 and one["timesteps"].max() > 994


def test_latents_of_a_posterior():
    moments = torch.cat([torch.full((1, 2, 1, 1), 3.0), torch.full((1, 2, 1, 1), 0.25).log()], 1)
    assert torch.allclose(sample_latents(moments.half(), torch.ones(1, 2, 1, 1), 0.5), torch.tensor(1.75), atol=1e-3)
